// The service's HTTP API: requests with the key, and every way in which one can fail as a `Problem`.

import { recall, remember } from "./memory.js";

const KEY = "cinesent.key";

/** Why there is no answer. `status` 0: the service was not reached. `code` and `detail` are the service's own. */
export class Problem extends Error {
  constructor(status, code = "", detail = "", retryAfter = null) {
    super(`${status} ${code}`);
    Object.assign(this, { status, code, detail, retryAfter });
  }
}

let askForKey = () => Promise.resolve(false);

/** `ask(wrong)` shows the field for the key and resolves to whether one was given; `wrong`: the last one was refused. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export function hasKey() {
  return recall(KEY, "sessionStorage") !== null;
}

export function setKey(key) {
  remember(KEY, key, "sessionStorage");
}

function headers() {
  const key = recall(KEY, "sessionStorage");
  return key === null ? {} : { "X-API-Key": key };
}

async function problem(response) {
  let found = {};
  try {
    found = await response.json();
  } catch {
    // A proxy's own error page, say.
  }
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const [code, detail] = [found.code, found.detail].map((value) => (typeof value === "string" ? value : ""));
  return new Problem(response.status, code, detail, Number.isNaN(after) ? null : after);
}

/**
 * The response to a request. Without a key that the service accepts it asks for one, and sends the request again.
 * Throws a `Problem`; or an `AbortError`, if `signal` aborts.
 */
async function send(method, path, { body = null, type = null, signal = null } = {}) {
  for (;;) {
    const given = headers();
    let response;
    try {
      response = await fetch(path, {
        method, body, signal, headers: type === null ? given : { ...given, "Content-Type": type },
        cache: "no-store", credentials: "same-origin", redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0);
    }
    if (response.ok) return response;
    if (response.status !== 401 || !(await askForKey("X-API-Key" in given))) throw await problem(response);
  }
}

async function json(method, path, value, signal = null) {
  const body = value === undefined ? null : JSON.stringify(value);
  const response = await send(method, path, { body, type: body === null ? null : "application/json", signal });
  try {
    return await response.json();
  } catch {
    throw new Problem(0);
  }
}

export const taxonomy = () => json("GET", "v1/taxonomy");
export const info = () => json("GET", "v1/info");
export const analyze = (text, signal) => json("POST", "v1/analyze", { text, offsets: "utf16" }, signal);
export const feedback = (correction) => json("POST", "v1/feedback", correction);
export const job = (id) => json("GET", `v1/files/${id}`);
export const removeJob = (id) => send("DELETE", `v1/files/${id}`);
/** Where a result of a job is: "result", "report", … */
export const resultOf = (id, link) => `v1/files/${id}/${link}`;

/**
 * Sends a file to be scored; resolves to its job. `options` are those of `cinesent score`; blank ones are left out.
 * `sent(share)` is told how much has gone, 0 to 1. Throws like `send`.
 */
export async function upload(file, options, sent, signal) {
  for (;;) {
    const given = headers();
    const request = await transfer(file, options, given, sent, signal);
    if (request.status >= 200 && request.status < 300) return JSON.parse(request.responseText);
    if (request.status === 401 && (await askForKey("X-API-Key" in given))) continue;
    const head = { "Retry-After": request.getResponseHeader("Retry-After") ?? "" };
    const refused = await problem(new Response(request.responseText, { status: request.status, headers: head }));
    throw Object.assign(refused, { upload: true });
  }
}

/** `fetch` does not tell how much of a body has gone. */
function transfer(file, options, given, sent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    for (const [name, value] of Object.entries(options)) if (value) form.append(name, value);
    form.append("file", file, file.name);
    request.open("POST", "v1/files");
    for (const [name, value] of Object.entries(given)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => sent(total ? loaded / total : 0));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Problem(0)));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** Saves what `path` answers: with a key the browser cannot simply follow a link. */
export async function download(path) {
  const response = await send("GET", path);
  const [, encoded, plain] = /filename(?:\*=utf-8''([^;]+)|="([^"]+)")/i.exec(response.headers.get("Content-Disposition")) ?? [];
  const address = URL.createObjectURL(await response.blob());
  const name = encoded ? decodeURIComponent(encoded) : (plain ?? "");
  const anchor = Object.assign(document.createElement("a"), { href: address, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
