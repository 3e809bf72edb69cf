// What the browser keeps for this page. One that keeps nothing (private mode, blocked storage) still shows the page.

function access(storage, action) {
  try {
    return action(window[storage]);
  } catch {
    return null;
  }
}

/** `storage` is "localStorage", which stays, or "sessionStorage", which goes with the tab. */
export function recall(key, storage = "localStorage") {
  return access(storage, (kept) => kept.getItem(key));
}

/** null forgets. */
export function remember(key, value, storage = "localStorage") {
  access(storage, (kept) => (value === null ? kept.removeItem(key) : kept.setItem(key, value)));
}
