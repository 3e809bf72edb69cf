// What was found in a text, and its correction: one click on a label, one on what is right.

import { feedback } from "./api.js";
import { byId, el } from "./dom.js";
import { WHOLE, asLabels, corrected, labelsOf, owners, valueOf, withValue } from "./labels.js";
import { drawMarks, selected } from "./marks.js";
import { openMenu } from "./menu.js";
import { askMissing } from "./missing.js";
import { Notice } from "./notice.js";
import { sha256 } from "./sha256.js";
import { toast } from "./toast.js";
import { dimensionName, label, percent, t } from "./words.js";

const SIGNS = { positive: "＋", neutral: "○", negative: "－", none: "·" };
const SCRIPTS = { hant: "zh-Hant", hans: "zh-Hans" };

export class Result {
  #place;
  #notice;
  #now = null;
  #queue = Promise.resolve();

  constructor(place, noticePlace) {
    this.#place = place;
    this.#notice = new Notice(noticePlace);
    document.addEventListener("language", () => this.#draw());
    for (const event of ["mouseover", "focusin", "mouseleave"]) place.addEventListener(event, (e) => this.#light(e));
  }

  clear() {
    this.#now = null;
    this.#notice.clear();
    this.#draw();
  }

  /** `record` is the answer about `text`, with UTF-16 offsets. */
  show(text, record, model) {
    this.#now = { text, record, model, labels: record.status === "ok" ? labelsOf(record) : null };
    // Fields that the person has judged, which is all of them (null) after "all correct".
    this.#now.judged = new Set();
    this.#notice.clear();
    this.#draw();
  }

  // Drawing

  #draw() {
    byId("welcome").hidden = this.#now !== null;
    const at = document.activeElement?.dataset?.at;
    this.#place.replaceChildren();
    if (this.#now === null) return;
    const { record, labels } = this.#now;
    if (labels === null) {
      this.#place.append(this.#banner("quiet", t(`status_${record.status}`), t(`status_${record.status}_why`)));
      return;
    }
    if (record.truncated) this.#place.append(this.#banner("quiet", t("truncated")));
    if (record.uncertain && this.#now.judged) this.#place.append(this.#banner("doubt", t("uncertain"), t("uncertain_why")));
    this.#place.append(this.#verdict(), this.#marked(), this.#mentions(), this.#foot());
    if (at) this.#place.querySelector(`[data-at="${CSS.escape(at)}"]`)?.focus();
  }

  #banner(tone, title, why = null) {
    return el("div", { class: `banner ${tone}`, role: "note" }, el("strong", {}, title), why ? el("p", {}, why) : null);
  }

  #verdict() {
    const { record, labels, model } = this.#now;
    const escalate = labels.escalation;
    const rows = [
      this.#row("overall", labels.overall, record.overall.confidence),
      this.#row("intent", labels.intent, record.intent.confidence),
      this.#row("escalation", labels.escalation, record.escalation.confidence),
    ];
    const names = owners(labels, model);
    const who = names.length
      ? el("ul", { class: "owners", lang: "zh" }, ...names.map((name) => el("li", {}, name)))
      : el("span", { class: "muted" }, t("owners_none"));
    return el("section", { class: escalate ? "card verdict escalated" : "card verdict", "aria-label": t("result") },
      el("dl", {}, ...rows.flat(), el("div", { class: "row wide" }, el("dt", {}, t("owners")), el("dd", {}, who))));
  }

  #row(field, value, confidence) {
    return el("div", { class: "row", "data-field": field },
      el("dt", {}, t(field)), el("dd", {}, this.#chip(field, value, "verdict"), this.#sure(field, confidence)));
  }

  #marked() {
    const { text, record, labels, model } = this.#now;
    const mentions = labels.mentions
      .filter(({ sentiment, start }) => sentiment !== "none" && start !== undefined)
      .map((mention) => ({ ...mention, hue: model.dimension(mention.dimension).hue }));
    const body = el("div", { class: "marked", id: "marked", lang: SCRIPTS[record.script] ?? "zh" });
    drawMarks(body, text, mentions, (mention) => this.#tag(mention));
    return el("section", { class: "card" }, el("h2", {}, t("marked")), body);
  }

  #tag(mention) {
    const name = dimensionName(this.#now.model.dimension(mention.dimension));
    const tag = el("button", {
      type: "button", class: "tag", tabindex: "-1", "data-at": `tag ${mention.dimension}`, "data-key": mention.dimension,
      "aria-haspopup": "menu", "aria-label": `${name} ${label(mention.sentiment)}`,
      onclick: () => this.#open(tag, mention.dimension),
    }, name, el("b", { class: mention.sentiment, "aria-hidden": "true" }, SIGNS[mention.sentiment]));
    tag.style.setProperty("--hue", mention.hue);
    return tag;
  }

  #mentions() {
    const { labels } = this.#now;
    const found = labels.mentions.filter(({ sentiment }) => sentiment !== "none").length;
    const list = labels.mentions.length
      ? el("ul", { class: "mentions" }, ...labels.mentions.map((mention) => this.#mention(mention)))
      : el("p", { class: "muted" }, t("mentions_none"));
    const add = el("button", { type: "button", class: "quiet", id: "add", "data-at": "add", onclick: () => this.#add() }, t("add"));
    const confirm = el("button", {
      type: "button", class: "quiet", id: "confirm", "data-at": "confirm", disabled: this.#now.judged === null, onclick: () => this.#confirm(),
    }, t("confirm"));
    return el("section", { class: "card" },
      el("h2", {}, t("mentions"), " ", el("span", { class: "muted" }, String(found))), list,
      el("div", { class: "ways" }, add, confirm));
  }

  #mention(mention) {
    const { model } = this.#now;
    const dimension = model.dimension(mention.dimension);
    const gone = mention.sentiment === "none";
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.setProperty("--hue", dimension.hue);
    return el("li", { class: gone ? "mention gone" : "mention", "data-key": mention.dimension },
      el("div", { class: "head" },
        swatch, el("span", { class: "name" }, dimensionName(dimension)),
        this.#chip(mention.dimension, mention.sentiment, "list"), this.#sure(mention.dimension, mention.confidence)),
      mention.evidence ? el("q", { class: "evidence", lang: "zh" }, mention.evidence) : null,
      el("span", { class: "owner", lang: "zh" }, mention.owner ?? dimension.owner));
  }

  #foot() {
    return el("p", { class: "foot" }, t("model", { name: this.#now.record.model }));
  }

  #name(field) {
    return WHOLE.includes(field) ? t(field) : dimensionName(this.#now.model.dimension(field));
  }

  #valueName(value) {
    return typeof value === "boolean" ? t(`escalate_${value}`) : label(value);
  }

  /** The label itself, as the button that corrects it. */
  #chip(field, value, where) {
    const chip = el("button", {
      type: "button", class: `chip ${value}`, "data-at": `${where} ${field}`, "aria-haspopup": "menu", "aria-expanded": "false",
      "aria-label": t("correct", { what: this.#name(field), now: this.#valueName(value) }),
      onclick: () => this.#open(chip, field),
    }, el("span", {}, this.#valueName(value)));
    return chip;
  }

  #sure(field, confidence) {
    const { record, labels } = this.#now;
    if (corrected(record, labels, field)) return el("span", { class: "sure by-hand" }, t("by_hand"));
    const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("i"));
    meter.firstChild.style.width = percent(confidence);
    return el("span", { class: "sure", title: t("confidence", { p: percent(confidence) }) }, meter, percent(confidence));
  }

  #light(event) {
    const key = event.type === "mouseleave" ? undefined : event.target.closest?.("[data-key]")?.dataset.key;
    for (const mark of this.#place.querySelectorAll("mark")) {
      mark.classList.toggle("lit", key !== undefined && mark.dataset.keys.split(" ").includes(key));
    }
  }

  // Correcting

  #choices(field) {
    const { space } = this.#now.model;
    const values = { overall: space.overall, intent: space.intents, escalation: space.escalation }[field] ?? [...space.sentiments, "none"];
    return values.map((value) => ({ value, text: this.#valueName(value), tone: String(value) }));
  }

  #open(button, field) {
    const mine = this.#now;
    openMenu(button, t("choices"), this.#choices(field), valueOf(mine.labels, field), (value) => this.#correct(mine, field, value));
  }

  async #add() {
    const mine = this.#now;
    const span = selected(byId("marked"));
    const evidence = span && { ...span, evidence: mine.text.slice(span.start, span.end) };
    const missing = [...mine.model.dimensions.values()].filter(({ key }) => valueOf(mine.labels, key) === "none");
    const found = await askMissing(missing, mine.model.space.sentiments, evidence?.evidence);
    if (found && mine === this.#now) this.#correct(mine, found.key, found.sentiment, evidence ?? {});
  }

  #correct(mine, field, value, more = {}) {
    const before = mine.labels;
    const old = valueOf(before, field);
    mine.labels = withValue(before, field, value, more);
    const judged = mine.judged;
    mine.judged = judged && new Set([...judged, field]);
    const values = { what: this.#name(field), now: this.#valueName(value) };
    this.#store(mine, before, mine.labels, {
      saved: () => toast(t("saved", values), { text: t("undo"), act: () => mine === this.#now && this.#correct(mine, field, old) }),
      failed: () => {
        mine.labels = withValue(mine.labels, field, old);
        if (!judged?.has(field)) mine.judged?.delete(field);
      },
      retry: () => this.#correct(mine, field, value, more),
    });
  }

  #confirm() {
    const mine = this.#now;
    const judged = mine.judged;
    mine.judged = null;
    this.#store(mine, mine.labels, mine.labels, {
      saved: () => toast(t("confirmed")),
      failed: () => (mine.judged = judged),
      retry: () => this.#confirm(),
    });
  }

  /** Shows the new labels at once and sends them, one after the other; a correction that is not stored is taken back. */
  #store(mine, before, after, { saved, failed, retry }) {
    this.#notice.clear();
    this.#draw();
    const sent = {
      sha256: sha256(mine.text),
      text: mine.text,
      offsets: "utf16",
      before: { ...asLabels(before), model: mine.record.model },
      after: asLabels(after, mine.judged),
    };
    this.#queue = this.#queue.then(async () => {
      try {
        await feedback(sent);
        saved();
      } catch (error) {
        failed();
        if (mine !== this.#now) return;
        this.#draw();
        this.#notice.show(error, { retry: () => mine === this.#now && retry() });
      }
    });
  }
}
