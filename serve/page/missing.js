// Asks which service a text mentions that was not found, and how: one click.

import { byId, el } from "./dom.js";
import { dimensionName, label, t } from "./words.js";

/**
 * Shows `dimensions` with a button for each of `sentiments`. Resolves to {key, sentiment}, or null if closed.
 * `evidence`: the words that were selected in the text before.
 */
export function askMissing(dimensions, sentiments, evidence) {
  const dialog = byId("missing");
  return new Promise((resolve) => {
    let chosen = null;
    const choose = (key, sentiment) => {
      chosen = { key, sentiment };
      dialog.close();
    };
    const row = (dimension) => {
      const name = dimensionName(dimension);
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.setProperty("--hue", dimension.hue);
      const buttons = sentiments.map((sentiment) =>
        el("button", {
          type: "button", class: `chip ${sentiment}`, "aria-label": `${name} ${label(sentiment)}`,
          "data-choice": `${dimension.key} ${sentiment}`, onclick: () => choose(dimension.key, sentiment),
        }, label(sentiment)),
      );
      return el("li", {}, swatch, el("span", { class: "name" }, name), el("span", { class: "chips" }, ...buttons));
    };
    dialog.replaceChildren(
      el("div", { class: "dialog-head" },
        el("h2", { id: "missing-title" }, t("add_title")),
        el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("close"))),
      el("p", { class: "muted" }, evidence ? t("add_evidence", { text: evidence }) : t("add_hint")),
      el("ul", { class: "missing" }, ...dimensions.map(row)),
    );
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
    dialog.showModal();
  });
}
