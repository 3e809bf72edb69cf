// Before the first paint, so that the page does not flash in the other colours; app.js does the rest.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("cinesent.theme");
  } catch {
    // Storage is blocked: the system's choice holds.
  }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
