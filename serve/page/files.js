// The view of files: drop a table, watch it being scored, take the result.

import { download, hasKey, job as ask, removeJob, resultOf, upload } from "./api.js";
import { announce, byId, el, fill } from "./dom.js";
import { recall, remember } from "./memory.js";
import { knownModel } from "./model.js";
import { Notice } from "./notice.js";
import { language, number, percent, size, t } from "./words.js";

const KEPT = "cinesent.jobs";
const OVER = new Set(["done", "failed"]);
const [SOONEST, LATEST] = [400, 3000];

const jobs = [];

/** One file: on its way up, waiting, being scored, done or failed. */
class Job {
  constructor(name, state = null) {
    Object.assign(this, { name, state, sent: 0, stop: new AbortController(), wait: SOONEST });
    this.place = el("li", { class: "card job" });
    this.body = el("div");
    this.noticePlace = el("div");
    this.place.append(this.body, this.noticePlace);
    this.notice = new Notice(this.noticePlace);
  }

  async start(file, options) {
    this.draw();
    try {
      this.state = await upload(file, options, (share) => ((this.sent = share), this.draw()), this.stop.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.draw(true);
      this.notice.show(error, { retry: () => this.start(file, options), limits: knownModel()?.limits });
      return;
    }
    this.notice.clear();
    keep();
    this.follow();
  }

  follow() {
    this.draw();
    if (OVER.has(this.state.status)) {
      if (this.state.status === "done") announce(t("job_ready", { name: this.name }));
      return;
    }
    this.timer = setTimeout(() => this.poll(), this.wait);
    this.wait = Math.min(1.3 * this.wait, LATEST);
  }

  async poll() {
    try {
      this.state = await ask(this.state.id);
    } catch (error) {
      if (this.stop.signal.aborted) return;
      if (error.status === 404) return this.gone();
      this.notice.show(error, { retry: () => this.poll() });
      return;
    }
    if (this.stop.signal.aborted) return;
    this.notice.clear();
    this.follow();
  }

  gone() {
    this.state = { ...this.state, status: "gone", links: {} };
    keep();
    this.draw();
  }

  async remove() {
    this.stop.abort();
    clearTimeout(this.timer);
    try {
      if (this.state && this.state.status !== "gone") await removeJob(this.state.id);
    } catch (error) {
      if (error.status !== 404) {
        this.notice.show(error, { retry: () => this.remove() });
        return;
      }
    }
    jobs.splice(jobs.indexOf(this), 1);
    this.place.remove();
    keep();
    byId("choose").focus();
  }

  draw(failed = false) {
    const status = this.state?.status ?? (failed ? "failed" : "uploading");
    const rows = this.state?.rows ?? {};
    const word = t(`job_${status}`, { p: percent(this.sent) });
    const bar = el("progress", { "aria-label": t("job_progress", { name: this.name }), max: "1" });
    if (status === "uploading") bar.value = this.sent;
    else if (status === "running") bar.value = this.state.progress;
    const many = rows.total ? t("job_rows_of", { n: number(rows.done), all: number(rows.total) }) : t("job_rows", { n: number(rows.done ?? 0) });
    fill(this.body,
      el("div", { class: "head" },
        el("span", { class: "name", title: this.name }, this.name),
        el("span", { class: `state ${status}` }, word)),
      ["uploading", "queued", "running"].includes(status) ? bar : null,
      this.state && status !== "gone" ? el("p", { class: "muted numbers" }, many) : null,
      rows.rejected ? el("p", { class: "muted" }, t("job_rejected", { n: number(rows.rejected) })) : null,
      status === "failed" && this.state ? el("p", {}, t("job_failed_why")) : null,
      status === "failed" && this.state ? el("p", { class: "detail", lang: "en" }, this.state.detail) : null,
      el("div", { class: "ways" }, ...this.links(status),
        el("button", { type: "button", class: "quiet", onclick: () => this.remove() }, t(OVER.has(status) || status === "gone" ? "job_remove" : "job_cancel"))),
    );
  }

  links(status) {
    if (status !== "done") return [];
    const { links } = this.state;
    return [
      links.result && this.link("result", t("job_download"), "primary"),
      links.report && this.link("report", t(hasKey() ? "job_report_save" : "job_report"), "quiet"),
      links.rejects && this.link("rejects", t("job_rejects"), "quiet"),
    ];
  }

  /** A way to a result. With a key, which a link does not carry, it is fetched and saved. */
  link(name, text, tone) {
    const path = resultOf(this.state.id, name);
    if (!hasKey()) {
      const opened = name === "report";
      return el("a", { class: tone, href: path, download: !opened, target: opened && "_blank", rel: "noopener", "data-link": name }, text);
    }
    const save = () => download(path).catch((error) => this.notice.show(error, { retry: save }));
    return el("button", { type: "button", class: tone, onclick: save, "data-link": name }, text);
  }
}

function keep() {
  const known = jobs.filter(({ state }) => state && state.status !== "gone").map(({ name, state }) => ({ name, state }));
  remember(KEPT, JSON.stringify(known), "sessionStorage");
}

function add(job) {
  jobs.unshift(job);
  byId("jobs").prepend(job.place);
}

function take(files) {
  const options = Object.fromEntries(new FormData(byId("file-form")));
  delete options.file;
  for (const file of files) {
    const job = new Job(file.name);
    add(job);
    job.start(file, options);
  }
}

function hint() {
  const most = knownModel()?.limits.max_upload;
  byId("file-most").textContent = most ? ` · ${t("file_most", { size: size(most) })}` : "";
  byId("output-language").value = language();
}

/** `show` brings the view of files to the front, for a file that is dropped elsewhere on the page. */
export function startFiles(show) {
  const input = byId("choose");
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  const dragged = (event) => event.dataTransfer?.types.includes("Files");
  const over = (on) => document.body.classList.toggle("dragging", on);
  document.addEventListener("dragover", (event) => dragged(event) && (event.preventDefault(), over(true)));
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  document.addEventListener("drop", (event) => {
    if (!dragged(event)) return;
    event.preventDefault();
    over(false);
    show();
    take(event.dataTransfer.files);
  });
  document.addEventListener("language", () => {
    hint();
    for (const job of jobs) job.draw();
  });
  document.addEventListener("model", hint);
  hint();
  for (const { name, state } of JSON.parse(recall(KEPT, "sessionStorage") ?? "[]").reverse()) {
    const job = new Job(name, state);
    add(job);
    job.draw();
    job.poll();
  }
}
