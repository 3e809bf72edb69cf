// The view of one text: paste, analyse.

import { analyze } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { knownModel, loadModel } from "./model.js";
import { Notice } from "./notice.js";
import { Result } from "./result.js";
import { number, t } from "./words.js";

const SAMPLES = [
  ["sample_1", "IMAX效果很震撼👍但是座椅太硬，坐得腰疼。票价倒是不贵，就是散场以后停车场堵了半个小时。"],
  ["sample_2", "周六晚上带老人来看，7号厅出口的灯坏了，我妈下台阶差点摔倒；找值班经理反映，对方爱理不理，说明天再修。片子本身挺好看，音响也震撼。要求给个说法，否则投诉到消协！"],
  ["sample_3", "請問學生票是平日才有嗎？上次在櫃檯問，店員也說不清楚。"],
];

const input = byId("text");
const button = byId("analyse");
const notice = new Notice(byId("text-notice"));
const result = new Result(byId("result"), byId("result-notice"));
let running = null;

function count() {
  const length = Array.from(input.value).length;
  const most = knownModel()?.limits.max_characters;
  const near = most && length > 0.8 * most;
  byId("count").textContent = near
    ? t("characters_of", { n: number(length), most: number(most) })
    : t("characters", { n: number(length) });
  byId("count").classList.toggle("over", Boolean(most) && length > most);
  byId("clear").hidden = !input.value;
}

function busy(on) {
  button.textContent = t(on ? "analysing" : "analyse");
  button.setAttribute("aria-busy", String(on));
}

async function run() {
  const text = input.value;
  if (!text.trim()) {
    input.focus();
    return;
  }
  running?.abort();
  const mine = (running = new AbortController());
  busy(true);
  try {
    let [record, model] = await Promise.all([analyze(text, mine.signal), loadModel()]);
    // The checkpoint may have been swapped for one with another label space.
    if (record.dimensions.some(({ dimension }) => !model.dimensions.has(dimension))) model = await loadModel(true);
    if (running !== mine) return;
    notice.clear();
    result.show(text, record, model);
    announce(t("result"));
  } catch (error) {
    if (error.name === "AbortError" || running !== mine) return;
    notice.show(error, { retry: run, limits: knownModel()?.limits, kept: true });
  } finally {
    if (running === mine) {
      running = null;
      busy(false);
    }
  }
}

function put(text) {
  running?.abort();
  running = null;
  busy(false);
  input.value = text;
  notice.clear();
  count();
}

function submit(event) {
  event.preventDefault();
  notice.clear();
  run();
}

/** Names and limits, so that they are there when needed; where there is a key to ask for, it is asked for now. */
function prepare() {
  loadModel().then(count, (error) => notice.show(error, { retry: prepare }));
}

export function startText() {
  byId("text-form").addEventListener("submit", submit);
  input.addEventListener("input", count);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) submit(event);
  });
  byId("clear").addEventListener("click", () => {
    put("");
    result.clear();
    input.focus();
  });
  for (const [name, text] of SAMPLES) {
    byId("samples").append(
      el("button", { type: "button", class: "link", "data-t": name, onclick: () => (put(text), run()) }, t(name)),
    );
  }
  document.addEventListener("language", () => (count(), busy(running !== null)));
  count();
  prepare();
}
