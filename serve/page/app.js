// The page: language, colours, the two views, and what starts them.

import { byId } from "./dom.js";
import { startFiles } from "./files.js";
import { startKey } from "./key.js";
import { recall, remember } from "./memory.js";
import { startText } from "./text.js";
import { language, setLanguage, show, t } from "./words.js";

const THEME = "cinesent.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const tabs = [byId("tab-text"), byId("tab-file")];

function dark() {
  const chosen = recall(THEME);
  return chosen ? chosen === "dark" : system.matches;
}

function paint() {
  document.documentElement.dataset.theme = dark() ? "dark" : "light";
  byId("theme").setAttribute("aria-label", t(dark() ? "theme_light" : "theme_dark"));
  byId("theme").title = t(dark() ? "theme_light" : "theme_dark");
}

function select(tab, focus = false) {
  for (const one of tabs) {
    const on = one === tab;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) tab.focus();
  history.replaceState(null, "", tab === tabs[1] ? "#file" : location.pathname + location.search);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    if (["ArrowLeft", "ArrowRight"].includes(event.key)) select(tabs[1 - tabs.indexOf(tab)], true);
  });
}
byId("language").addEventListener("click", () => setLanguage(language() === "zh" ? "en" : "zh"));
byId("theme").addEventListener("click", () => (remember(THEME, dark() ? "light" : "dark"), paint()));
system.addEventListener("change", paint);
document.addEventListener("language", paint);
addEventListener("hashchange", () => select(tabs[location.hash === "#file" ? 1 : 0]));

show();
paint();
select(tabs[location.hash === "#file" ? 1 : 0]);
startKey();
startText();
startFiles(() => select(tabs[1]));
