// A menu of a few choices under a button: opens on click, closes on a choice, Escape or a click elsewhere.

import { el } from "./dom.js";

let open = null;

/** Closes the open menu, if any; `focus` gives the focus back to its button. */
export function closeMenu(focus = false) {
  if (open === null) return;
  const { button, list } = open;
  open = null;
  list.remove();
  button.setAttribute("aria-expanded", "false");
  if (focus) button.focus();
}

/**
 * Opens, under `button`, a menu of `choices` [{value, text, tone}], `current` checked; `chosen(value)` is called once.
 * A second click on the same button closes it.
 */
export function openMenu(button, title, choices, current, chosen) {
  const again = open?.button === button;
  closeMenu();
  if (again) return;
  const items = choices.map(({ value, text, tone }) =>
    el("button", {
      type: "button", role: "menuitemradio", tabindex: "-1", "aria-checked": String(value === current), "data-value": String(value),
      class: tone ? `choice ${tone}` : "choice",
      onclick: () => {
        closeMenu(true);
        if (value !== current) chosen(value);
      },
    }, text),
  );
  const list = el("div", { class: "menu", role: "menu", "aria-label": title }, ...items);
  list.addEventListener("keydown", (event) => steer(event, items));
  document.body.append(list);
  place(list, button);
  button.setAttribute("aria-expanded", "true");
  open = { button, list };
  (items.find((item) => item.dataset.value === String(current)) ?? items[0]).focus();
}

function place(list, button) {
  const box = button.getBoundingClientRect();
  const room = document.documentElement.clientWidth;
  const left = Math.max(8, Math.min(box.left, room - list.offsetWidth - 8));
  const below = box.bottom + 6 + list.offsetHeight <= window.innerHeight || box.top < list.offsetHeight + 12;
  const top = below ? box.bottom + 6 : box.top - list.offsetHeight - 6;
  list.style.left = `${left + window.scrollX}px`;
  list.style.top = `${top + window.scrollY}px`;
}

function steer(event, items) {
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") closeMenu(true);
  if (event.key === "Escape") event.stopPropagation();
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length].focus();
}

document.addEventListener("pointerdown", (event) => {
  if (open && !open.list.contains(event.target) && !open.button.contains(event.target)) closeMenu();
});
window.addEventListener("resize", () => closeMenu());
document.addEventListener("language", () => closeMenu());
