// Builds the page from nodes. Text is only ever set as text, so nothing in a review is read as markup.

/**
 * An element. `on…` attributes are listeners; true and false switch an attribute; null leaves one out.
 * Children are nodes, or anything else, which becomes text; null is left out.
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  fill(element, ...children);
  return element;
}

/** Puts other children in place of those that `element` has. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

export function byId(id) {
  return document.getElementById(id);
}

/** Says something to screen readers without moving the focus. */
export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  // A region that is emptied and filled in one go is not read again if the words are the same.
  setTimeout(() => (region.textContent = text), 50);
}
