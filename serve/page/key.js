// Asks for the API key where the service wants one.

import { byId } from "./dom.js";
import { hasKey, onKeyNeeded, setKey } from "./api.js";
import { t } from "./words.js";

let asked = null;

/** Resolves to whether a key was given. Requests that are refused at the same time share one question. */
function ask(wrong) {
  asked ??= new Promise((resolve) => {
    const dialog = byId("key");
    const input = byId("key-input");
    input.value = byId("key-wrong").textContent = "";
    input.removeAttribute("aria-invalid");
    if (wrong) refuse();
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      asked = null;
      const given = dialog.returnValue === "use";
      if (given) setKey(input.value.trim());
      input.value = "";
      show();
      resolve(given);
    }, { once: true });
    dialog.showModal();
    input.focus();
  });
  return asked;
}

function refuse() {
  byId("key-wrong").textContent = t("key_wrong");
  byId("key-input").setAttribute("aria-invalid", "true");
}

function show() {
  byId("forget").hidden = !hasKey();
}

export function startKey() {
  onKeyNeeded(ask);
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    // Anything else cannot be sent in a header, so it cannot be a key.
    if (/^[\x21-\x7e]+$/.test(byId("key-input").value.trim())) byId("key").close("use");
    else refuse();
  });
  byId("key-cancel").addEventListener("click", () => byId("key").close());
  byId("forget").addEventListener("click", () => {
    setKey(null);
    location.reload();
  });
  show();
}
