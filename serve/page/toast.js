// A short word at the foot of the page, with at most one thing to do about it.

import { byId, el } from "./dom.js";

const SHOWN = 8000;
let timer = null;

function hide() {
  byId("toast").replaceChildren();
}

/** `way` {text, act} is offered as a button while the word is shown; it stays while pointer or focus is on it. */
export function toast(text, way = null) {
  clearTimeout(timer);
  const button = way && el("button", { type: "button", onclick: () => (hide(), way.act()) }, way.text);
  const wait = () => (timer = setTimeout(hide, SHOWN));
  byId("toast").replaceChildren(
    el("div", {
      class: "toast", onmouseenter: () => clearTimeout(timer), onfocusin: () => clearTimeout(timer), onmouseleave: wait, onfocusout: wait,
    }, el("span", {}, text), button),
  );
  wait();
}
