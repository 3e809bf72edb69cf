// What went wrong, in plain words, with a way on: wait, try again, or neither.

import { Problem } from "./api.js";
import { el } from "./dom.js";
import { size, t, number } from "./words.js";

const MOST_WAITS = 8;
// What a 503 is about that waiting does not mend.
const LASTING = { failed: "error_503_failed", disk_full: "error_503_disk" };
const KNOWN = new Set([401, 403, 404, 413, 422, 429, 500, 503, 504]);

/** The problem's headline and what to do, in the current language. `limits` are those of /v1/info, if known. */
export function explain(problem, limits = null) {
  if (problem.status === 0 || problem.status === 408) return { title: t("error_network"), why: t("error_network_why") };
  const status = KNOWN.has(problem.status) ? problem.status : problem.status < 500 ? 422 : 500;
  const title = t(`error_${status}`);
  if (status === 413 && problem.code === "text_too_large" && limits) {
    return { title, why: t("error_413_text", { most: number(limits.max_characters) }) };
  }
  if (status === 413 && problem.upload && limits?.max_upload) {
    return { title, why: t("error_413_file", { size: size(limits.max_upload) }) };
  }
  if (status === 422 && problem.code === "invalid_unicode") return { title, why: t("error_422_unicode") };
  if (status === 422 && problem.code === "unreadable_file") return { title, why: t("error_422_file"), detail: problem.detail };
  if (status === 422) return { title, why: t("error_422_why"), detail: problem.detail || `HTTP ${problem.status}` };
  if (status === 503 && LASTING[problem.code]) return { title, why: t(LASTING[problem.code]) };
  return { title, why: t(`error_${status}_why`) };
}

/** Whether it passes by itself, so that waiting helps. */
function passes(problem) {
  return problem.status === 429 || (problem.status === 503 && !LASTING[problem.code]);
}

/** Whether the same request may fare better another time. */
function retryable(problem) {
  return ![403, 404, 413, 422].includes(problem.status);
}

/** A place for one notice at a time. */
export class Notice {
  #place;
  #timer = null;
  #shown = null;
  #waits = 0;

  constructor(place) {
    this.#place = place;
    document.addEventListener("language", () => this.#draw());
  }

  /** Takes the notice away; the next failure is the first again. */
  clear() {
    this.#waits = 0;
    this.#stop();
    this.#shown = null;
    this.#draw();
  }

  /**
   * Shows `error`. `retry` repeats what failed: on a click, and by itself after the service's `Retry-After` where waiting
   * helps. `kept`: say that what was written is still there. Errors that are no `Problem` are thrown on.
   */
  show(error, { retry = null, limits = null, kept = false } = {}) {
    if (!(error instanceof Problem)) throw error;
    this.#stop();
    this.#shown = { problem: error, retry, limits, kept, left: null };
    if (retry && passes(error) && this.#waits < MOST_WAITS) {
      this.#waits++;
      this.#shown.left = Math.min(Math.max(error.retryAfter ?? 5, 1), 120);
      this.#timer = setInterval(() => this.#tick(), 1000);
    }
    this.#draw();
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick() {
    this.#shown.left--;
    if (this.#shown.left <= 0) this.#again();
    else this.#place.querySelector("[data-left]").textContent = t("retry_in", { n: this.#shown.left });
  }

  #again() {
    this.#stop();
    const { retry } = this.#shown;
    this.#place.replaceChildren();
    this.#shown = null;
    retry();
  }

  #giveUp() {
    this.#stop();
    this.#shown.left = null;
    this.#draw();
  }

  #draw() {
    if (this.#shown === null) {
      this.#place.replaceChildren();
      return;
    }
    const { problem, retry, limits, kept, left } = this.#shown;
    const { title, why, detail } = explain(problem, limits);
    const waiting = left !== null;
    const words = [
      el("strong", {}, title),
      el("p", {}, why, kept && !waiting ? ` ${t("kept")}` : null),
      detail ? el("p", { class: "detail", lang: "en" }, detail) : null,
    ];
    const ways = [];
    if (waiting) {
      // Counted down for the eye only: a screen reader would read every second of it.
      ways.push(el("span", { class: "countdown", "aria-hidden": "true", "data-left": "" }, t("retry_in", { n: left })));
      ways.push(el("button", { type: "button", class: "quiet", onclick: () => this.#again() }, t("retry_now")));
      ways.push(el("button", { type: "button", class: "quiet", onclick: () => this.#giveUp() }, t("wait_stop")));
    } else if (retry && retryable(problem)) {
      ways.push(el("button", { type: "button", class: "quiet", onclick: () => this.#again() }, t("retry")));
    }
    const tone = waiting ? "notice waiting" : "notice failed";
    this.#place.replaceChildren(
      el("div", { class: tone, "data-status": problem.status },
        el("div", { role: "alert" }, ...words), ways.length ? el("div", { class: "ways" }, ...ways) : null),
    );
  }
}
