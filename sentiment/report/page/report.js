/* Charts, tables that sort and filter, and the texts behind the figures. Texts reach the page by textContent only. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const say = (key, values = {}) => data.labels[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const nameOf = (key) => data.names[key] ?? key;
  const fixed = (value, digits = 1) => {
    const text = Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return Number(text.replace(/,/g, "")) !== 0 && value < 0 ? `−${text}` : text;
  };
  const ranged = (figure, digits = 1) => fixed(figure.value, digits) + (figure.low == null ? "" : ` [${fixed(figure.low, digits)}, ${fixed(figure.high, digits)}]`);
  const withInterval = (figure, digits = 1) => `${ranged(figure, digits)} · n ${fixed(figure.n, 0)}`;
  const known = (figure) => figure && figure.value != null;
  const bounded = (figure) => known(figure) && figure.low != null && figure.high != null;
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // --- charts -------------------------------------------------------------------------------------------------------
  const INK = "var(--ink)", SOFT = "var(--soft)", RULE = "var(--rule)", ACCENT = "var(--accent)";
  const NEGATIVE = "var(--negative)", POSITIVE = "var(--positive)";
  const narrow = (width) => width < 500;
  /** Room for the longest name, in pixels: a Chinese character takes a whole em. */
  const room = (names, width, size = 13) => {
    const em = (name) => [...name].reduce((sum, c) => sum + (c.codePointAt(0) > 0x2e7f ? 1 : 0.56), 0);
    return Math.min(Math.max(60, ...names.map((name) => em(name) * size + 16)), width * 0.42);
  };
  /** Round bounds around what is drawn, at least 40 points wide: dots, unlike bars, need no zero. */
  const spanOf = (figures) => {
    const ends = figures.filter(known).flatMap((f) => [f.low ?? f.value, f.high ?? f.value]);
    let low = Math.floor((Math.min(...ends) - 1) / 10) * 10, high = Math.ceil((Math.max(...ends) + 1) / 10) * 10;
    while (high - low < 40) { if (low > 0) low -= 10; if (high < 100) high += 10; }
    return [Math.max(0, low), Math.min(100, high)];
  };
  const clip = (left, size = 13) => (name) => {
    let used = 0;
    const letters = [...name];
    for (let at = 0; at < letters.length; at++) {
      used += (letters[at].codePointAt(0) > 0x2e7f ? 1 : 0.56) * size;
      if (used > left - 12) return letters.slice(0, Math.max(1, at - 1)).join("") + "…";
    }
    return name;
  };
  const base = (width, options) => ({ width, style: { fontSize: "13px", background: "none", color: INK, overflow: "visible" }, ...options });

  const lengthOf = (text, size) => [...text].reduce((sum, c) => sum + (c.codePointAt(0) > 0x2e7f ? 1 : 0.56), 0) * size;
  /** Rows of a chart: names at the left and figures at the right of what is drawn; on a narrow screen both above it.
   *  `drawn` is what marks need to stand below them, `marks` the words themselves. */
  function layout(shown, width, { left, right, says, fill = INK, weight = 400 }) {
    const stacked = narrow(width), names = shown.map((row) => row.name);
    left ??= room(names, width);
    const words = { y: "name", fill, fontWeight: weight, fontSize: stacked ? 11 : 12, fontVariant: "tabular-nums", stroke: "var(--paper)", strokeWidth: 3 };
    const said = stacked ? { ...words, frameAnchor: "right", textAnchor: "end", dy: -11 } : { ...words, frameAnchor: "right", textAnchor: "start", dx: 12 };
    return {
      stacked, step: stacked ? 40 : 26, drawn: { dy: stacked ? 6 : 0 },
      margins: { marginLeft: stacked ? 8 : left, marginRight: stacked ? 8 : right },
      y: { domain: names, label: null, tickSize: 0, ...(stacked ? { axis: null } : { tickFormat: clip(left) }) },
      marks: [
        stacked ? Plot.text(shown, { y: "name", frameAnchor: "left", textAnchor: "start", dy: -11, fill: INK, stroke: "var(--paper)", strokeWidth: 3, fontSize: 12, text: (row) => clip(Math.max(60, width - 16 - lengthOf(says(row), 11)), 12)(row.name) }) : null,
        Plot.text(shown, { ...said, text: says }),
      ],
    };
  }
  /** A point that is clicked opens the texts behind it: by a link, of which `draw` keeps the address only. */
  const linked = (row) => (row.quotes && data.quotes[row.quotes] ? `#${encodeURIComponent(`${row.quotes}\n${row.name ?? ""}`)}` : null);

  /** Rows of dots with intervals: [{name, figure, colour?}], a reference line, and values written at the right. */
  function dots(rows, width, { reference, domain, digits = 1, label, sort = true, right, left } = {}) {
    const shown = rows.filter((row) => known(row.figure));
    if (!shown.length) return null;
    if (sort) shown.sort((a, b) => d3.ascending(a.figure.value, b.figure.value));
    const low = (row) => row.figure.low ?? row.figure.value, high = (row) => row.figure.high ?? row.figure.value;
    const colour = (row) => row.colour ?? ACCENT;
    const rowed = layout(shown, width, { left, right: right ?? 190, says: (row) => withInterval(row.figure, digits) });
    return Plot.plot(base(width, {
      ...rowed.margins, marginTop: reference == null ? 6 : 26, marginBottom: label ? 42 : 24, height: (reference == null ? 36 : 56) + (label ? 18 : 0) + shown.length * rowed.step,
      x: { domain: domain ?? [0, 100], label, labelArrow: "none", labelAnchor: "center", labelOffset: 38, grid: true, ticks: narrow(width) ? 4 : 6, tickSize: 0 },
      y: rowed.y,
      marks: [
        reference == null ? null : Plot.ruleX([reference], { stroke: SOFT, strokeDasharray: "3,3" }),
        reference == null ? null : Plot.text([reference], { x: (v) => v, frameAnchor: "top", dy: -14, text: (v) => `${say("service")} ${fixed(v, digits)}`, fill: SOFT, fontSize: 12 }),
        Plot.ruleY(shown, { ...rowed.drawn, y: "name", x1: low, x2: high, stroke: colour, strokeWidth: 2, strokeOpacity: 0.65 }),
        Plot.dot(shown, { ...rowed.drawn, y: "name", x: (row) => row.figure.value, fill: colour, r: 5, href: linked, title: (row) => `${row.name}: ${withInterval(row.figure, digits)}` }),
        rowed.marks,
      ],
    }));
  }

  const charts = {
    gauge(width) {
      const index = data.performance.overall.index;
      return Plot.plot(base(width, {
        height: 46, marginLeft: 8, marginRight: 12, marginTop: 8, marginBottom: 20,
        x: { domain: [0, 100], ticks: [0, 50, 100], label: null, tickSize: 0 },
        y: { axis: null, domain: [0] },
        marks: [
          Plot.ruleY([0], { x1: 0, x2: 100, stroke: RULE, strokeWidth: 6, strokeLinecap: "round" }),
          bounded(index) ? Plot.ruleY([0], { x1: index.low, x2: index.high, stroke: ACCENT, strokeWidth: 6, strokeOpacity: 0.5 }) : null,
          Plot.dot([index], { x: "value", y: 0, fill: ACCENT, r: 6 }),
        ],
      }));
    },
    dimensions(width) {
      const { overall, dimensions, film } = data.performance;
      const mean = overall.index.value;
      const colour = ({ index }) => !bounded(index) || mean == null ? SOFT : index.high < mean ? NEGATIVE : index.low > mean ? POSITIVE : SOFT;
      const left = room([...dimensions, ...(film ? [film] : [])].map((row) => nameOf(row.key)), width);
      const domain = spanOf([...dimensions, ...(film ? [film] : [])].map((row) => row.index));
      const parts = [dots(dimensions.map((row) => ({ name: nameOf(row.key), figure: row.index, colour: colour(row), quotes: row.quotes })), width, { reference: mean, left, domain, label: film ? "" : say("index_short") })];
      if (film) parts.push(dots([{ name: nameOf(film.key), figure: film.index, colour: SOFT, quotes: film.quotes }], width, { left, domain, label: `${say("index_short")} · ${say("film_apart")}` }));
      return parts;
    },
    impact(width) {
      const rows = data.priorities.impact.filter((row) => known(row.penalty) || known(row.reward))
        .sort((a, b) => d3.descending(a.range.value ?? 0, b.range.value ?? 0)).map((row) => ({ ...row, name: nameOf(row.key) }));
      if (!rows.length) return null;
      const faded = (row) => row.kano === "inconclusive" ? 0.35 : 1;
      const says = (row) => data.kano[row.kano] + (row.kano !== "inconclusive" && row.stability != null ? ` (${fixed(row.stability, 0)}%)` : "") + ` · n ${fixed(row.negative, 0)} / ${fixed(row.positive, 0)}`;
      const rowed = layout(rows, width, { right: 205, says });
      // Beyond the span an interval is cut: one rare dimension must not press all others together.
      const ends = rows.flatMap((row) => [row.penalty.high ?? row.penalty.value, row.reward.high ?? row.reward.value]).filter((v) => v != null);
      const points = rows.flatMap((row) => [row.penalty.value, row.reward.value]).filter((v) => v != null);
      const most = Math.min(Math.max(...ends), 1.6 * Math.max(...points)) || 1;
      const side = (row, key, sign, colour) => {
        const figure = row[key];
        return known(figure) ? [{ name: nameOf(row.key), value: sign * figure.value, low: sign * (figure.low ?? figure.value), high: sign * Math.min(figure.high ?? figure.value, most), colour, opacity: faded(row), quotes: row.quotes, title: `${nameOf(row.key)} · ${say(key)} ${withInterval(figure, 2)}` }] : [];
      };
      const bars = rows.flatMap((row) => [...side(row, "penalty", -1, NEGATIVE), ...side(row, "reward", 1, POSITIVE)]);
      return Plot.plot(base(width, {
        ...rowed.margins, marginTop: 26, marginBottom: 34, height: 60 + rows.length * rowed.step,
        x: { domain: [-most, most], label: null, grid: true, ticks: narrow(width) ? 3 : 7, tickSize: 0, tickFormat: (v) => fixed(Math.abs(v), 1) },
        y: { ...rowed.y, padding: 0.35 },
        marks: [
          Plot.barX(bars, { y: "name", x1: 0, x2: "value", fill: "colour", fillOpacity: (d) => 0.55 * d.opacity, title: "title", href: linked, ...(rowed.stacked ? { insetTop: 12, insetBottom: -4 } : {}) }),
          Plot.ruleY(bars, { ...rowed.drawn, y: "name", x1: "low", x2: "high", stroke: "colour", strokeWidth: 1.5, strokeOpacity: "opacity" }),
          Plot.ruleX([0], { stroke: INK }),
          Plot.text([-most], { x: (v) => v, frameAnchor: "top", textAnchor: "start", dy: -14, text: () => `← ${say("penalty")}`, fill: NEGATIVE }),
          Plot.text([most], { x: (v) => v, frameAnchor: "top", textAnchor: "end", dy: -14, text: () => `${say("reward")} →`, fill: POSITIVE }),
          rowed.marks,
        ],
      }));
    },
    ipa(width) {
      const { importance_performance: all, crosshair_performance: cx, crosshair_importance: cy } = data.priorities;
      const points = all.filter((p) => known(p.performance) && known(p.importance));
      if (!points.length) return null;
      const high = Math.max(...points.map((p) => p.importance.value), cy ?? 0) * 1.2 || 1;
      const height = narrow(width) ? 440 : 520;
      const margins = { marginLeft: 44, marginRight: 20, marginTop: 24, marginBottom: 40 };
      const values = points.map((p) => p.performance.value);
      const span = [Math.max(0, Math.min(...values, cx ?? 50) - 8), Math.min(100, Math.max(...values, cx ?? 50) + 8)];
      const px = (v) => 44 + (v - span[0]) / (span[1] - span[0]) * (width - 64);
      const py = (v) => height - 40 - v / high * (height - 64);
      const labels = place(points.map((p) => ({ p, x: px(p.performance.value), y: py(p.importance.value), text: `${nameOf(p.key)} n ${fixed(p.performance.n, 0)}` })), width, height);
      const unnamed = points.filter((p) => !labels.some((one) => one.p === p));
      const corners = [["concentrate", "top-left", 1, 1], ["keep", "top-right", -1, 1], ["low_priority", "bottom-left", 1, -1], ["overkill", "bottom-right", -1, -1]];
      const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);
      const drawn = Plot.plot(base(width, {
        height, ...margins,
        x: { domain: span, label: say("index_short"), labelArrow: "none", labelAnchor: "center", labelOffset: 36, tickSize: 0, ticks: 6 },
        y: { domain: [0, high], label: say("importance"), labelArrow: "none", tickSize: 0, ticks: 6 },
        marks: [
          cx == null ? null : Plot.ruleX([cx], { stroke: SOFT, strokeDasharray: "3,3" }),
          cy == null ? null : Plot.ruleY([cy], { stroke: SOFT, strokeDasharray: "3,3" }),
          corners.map(([key, frameAnchor, sx, sy]) => Plot.text([key], { frameAnchor, dx: 6 * sx, dy: 6 * sy, text: (k) => say(k), fill: SOFT, fontSize: 12, fontWeight: key === "concentrate" ? 600 : 400 })),
          Plot.ruleY(points.filter((p) => bounded(p.performance)), { y: (p) => p.importance.value, x1: (p) => inside(p.performance.low, span), x2: (p) => inside(p.performance.high, span), stroke: ACCENT, strokeOpacity: 0.3 }),
          Plot.ruleX(points.filter((p) => bounded(p.importance)), { x: (p) => p.performance.value, y1: (p) => inside(p.importance.low, [0, high]), y2: (p) => inside(p.importance.high, [0, high]), stroke: ACCENT, strokeOpacity: 0.3 }),
          Plot.dot(points, { x: (p) => p.performance.value, y: (p) => p.importance.value, r: 4.5, fill: (p) => p.quadrant === "concentrate" ? NEGATIVE : ACCENT, href: (p) => linked({ ...p, name: nameOf(p.key) }), title: (p) => `${nameOf(p.key)}: ${say("index_short")} ${withInterval(p.performance)}; ${say("importance")} ${withInterval(p.importance, 2)}` }),
          labels.map(({ p, dx, dy, anchor, text }) => Plot.text([p], { x: p.performance.value, y: p.importance.value, dx, dy, textAnchor: anchor, text: () => text, fill: INK, fontSize: 12, stroke: "var(--paper)", strokeWidth: 4 })),
        ],
      }));
      if (!unnamed.length) return drawn;
      const names = unnamed.map((p) => `${nameOf(p.key)} (${say("index_short")} ${withInterval(p.performance)}; ${say("importance")} ${ranged(p.importance, 2)})`);
      return [drawn, make("p", { className: "hint", textContent: say("unlabelled", { names: names.join(data.lang === "zh" ? "；" : "; ") }) })];
    },
    league(width) {
      const league = data.changes.league;
      const rows = league.rows.filter((row) => known(row.index));
      const all = rows.flatMap((row) => [row.index.low ?? row.index.value, row.index.high ?? row.index.value]);
      const domain = [Math.max(0, Math.floor(Math.min(...all) / 5) * 5 - 5), Math.min(100, Math.ceil(Math.max(...all) / 5) * 5 + 5)];
      return dots(rows.map((row) => ({ name: `${row.band} · ${row.name}`, figure: row.index, quotes: row.quotes, colour: bounded(row.index) && row.index.low > league.mean ? POSITIVE : bounded(row.index) && row.index.high < league.mean ? NEGATIVE : SOFT })), width, { reference: league.mean, domain, label: say("shrunk"), sort: false });
    },
    trend(width, box) {
      const { trend } = data.changes;
      const key = box.dataset.series ?? String(main(trend));
      const parts = [make("p", { className: "ci", textContent: `${data.series[key]} · ${eachN(trend.series[key])}` }), line(trend, Number(key), width, narrow(width) ? 200 : 260)];
      const special = trend.series.map((_, at) => at).filter((at) => trend.series[at].changes.length && String(at) !== key);
      const small = special.slice(0, 6);
      if (small.length < special.length) parts.push(make("p", { className: "hint", textContent: say("charts_cut", { k: small.length, n: special.length }) }));
      if (small.length) {
        const each = narrow(width) ? width : Math.min(width, Math.max(290, (width - 64) / 3));
        parts.push(make("div", { className: "multiples" }, ...small.map((at) => make("div", {}, make("p", { textContent: data.series[at] }), make("p", { className: "ci", textContent: eachN(trend.series[at]) }), line(trend, at, each, 150)))));
      }
      return parts;
    },
    lenses(width) {
      const lenses = data.lenses.lenses, mean = data.performance.overall.index.value;
      const each = width < 760 ? width : (width - 32) / 2, right = 175;
      const domain = spanOf(lenses.flatMap((lens) => lens.rows.map((row) => row.index)));
      return make("div", { className: "multiples wide" }, ...lenses.map((lens) => {
        const drawn = dots(lens.rows.map((row) => ({ name: data.lang === "zh" ? row.zh : row.en, figure: row.index, quotes: row.quotes })), each, { reference: mean, sort: false, domain, right, label: "" });
        return drawn ? make("div", {}, make("p", { textContent: data.lang === "zh" ? lens.zh : lens.en }), drawn) : "";
      }));
    },
    ledger(width) {
      const { lines, value, cost, balance } = data.lenses.ledger;
      const name = (line) => `${say(line.side)} · ${data.lang === "zh" ? line.zh : line.en}`;
      const sign = (line) => (line.side === "value" ? 1 : -1);
      const turned = (figure, by) => by > 0 || !known(figure) ? figure : { ...figure, value: -figure.value, low: figure.high == null ? null : -figure.high, high: figure.low == null ? null : -figure.low };
      const rows = lines.map((line) => ({ name: name(line), figure: turned(line.amount, sign(line)), said: line.amount, quotes: line.quotes }));
      const { quotes } = data.lenses.ledger;
      rows.push({ name: `Σ ${say("value")}`, figure: value, said: value, total: true, quotes: quotes.value }, { name: `Σ ${say("cost")}`, figure: turned(cost, -1), said: cost, total: true, quotes: quotes.cost }, { name: say("balance"), figure: balance, said: balance, total: true, quotes: quotes.balance });
      const shown = rows.filter((row) => known(row.figure));
      if (!shown.length) return null;
      const rowed = layout(shown, width, { right: 190, says: (row) => withInterval(row.said), weight: (row) => (row.total ? 600 : 400) });
      const colour = (row) => (row.figure.value < 0 ? NEGATIVE : POSITIVE);
      return Plot.plot(base(width, {
        ...rowed.margins, marginTop: 10, marginBottom: 42, height: 58 + shown.length * rowed.step,
        x: { label: say("amount"), labelArrow: "none", labelAnchor: "center", labelOffset: 38, grid: true, ticks: narrow(width) ? 4 : 8, tickSize: 0, tickFormat: (v) => fixed(v, 0) },
        y: { ...rowed.y, padding: 0.3 },
        marks: [
          Plot.barX(shown, { y: "name", x1: 0, x2: (row) => row.figure.value, fill: colour, fillOpacity: (row) => (row.total ? 0.85 : 0.5), href: linked, ...(rowed.stacked ? { insetTop: 12, insetBottom: -4 } : {}) }),
          Plot.ruleY(shown.filter((row) => bounded(row.figure)), { ...rowed.drawn, y: "name", x1: (row) => row.figure.low, x2: (row) => row.figure.high, stroke: INK, strokeWidth: 1.5 }),
          Plot.ruleX([0], { stroke: INK }),
          rowed.marks,
        ],
      }));
    },
  };
  data.changes.comparisons.forEach((comparison, at) => {
    charts[`comparison-${at}`] = (width) => {
      const rows = comparison.rows.filter((row) => known(row.before) && known(row.after))
        .map((row) => ({ ...row, name: nameOf(row.key), colour: !row.significant ? SOFT : row.after.value > row.before.value ? POSITIVE : NEGATIVE }));
      if (!rows.length) return null;
      const side = (which) => (comparison.kind === "by" ? comparison[which][data.lang] : say(which));
      const says = ({ difference }) => (known(difference) ? (difference.value > 0 ? "+" : "") + withInterval(difference) : "");
      const rowed = layout(rows, width, { right: 190, says, fill: "colour", weight: (row) => (row.significant ? 600 : 400) });
      const lower = rowed.drawn.dy;
      return Plot.plot(base(width, {
        ...rowed.margins, marginTop: 22, marginBottom: 42, height: 64 + rows.length * (rowed.step + 2),
        x: { domain: spanOf(rows.flatMap((row) => [row.before, row.after])), label: say("index_short"), labelArrow: "none", labelAnchor: "center", labelOffset: 38, grid: true, ticks: narrow(width) ? 4 : 6, tickSize: 0 },
        y: rowed.y,
        marks: [
          Plot.ruleY(rows.filter((row) => bounded(row.before)), { y: "name", x1: (row) => row.before.low, x2: (row) => row.before.high, stroke: SOFT, strokeOpacity: 0.5, strokeWidth: 1.5, dy: lower - 5 }),
          Plot.ruleY(rows.filter((row) => bounded(row.after)), { y: "name", x1: (row) => row.after.low, x2: (row) => row.after.high, stroke: "colour", strokeOpacity: 0.6, strokeWidth: 1.5, dy: lower + 5 }),
          Plot.link(rows, { dy: lower, x1: (row) => row.before.value, x2: (row) => row.after.value, y1: "name", y2: "name", stroke: "colour", strokeWidth: 2 }),
          Plot.dot(rows, { dy: lower, href: (row) => linked({ quotes: row.before_quotes, name: `${row.name} · ${side("before")}` }), x: (row) => row.before.value, y: "name", r: 4.5, fill: "var(--paper)", stroke: "colour", strokeWidth: 2, title: (row) => `${row.name} · ${side("before")}: ${withInterval(row.before)}` }),
          Plot.dot(rows, { dy: lower, href: (row) => linked({ quotes: row.after_quotes, name: `${row.name} · ${side("after")}` }), x: (row) => row.after.value, y: "name", r: 5, fill: "colour", title: (row) => `${row.name} · ${side("after")}: ${withInterval(row.after)}` }),
          rowed.marks,
        ],
      }));
    };
  });

  /** How many mentions there are in a period, from the fewest to the most. */
  function eachN(series) {
    const [low, high] = d3.extent(series.values, (figure) => figure.n);
    return say("n_each", { low: fixed(low, 0), high: fixed(high, 0) });
  }

  /** One series with its band; change points as upright lines with the levels written. */
  function line(trend, at, width, height) {
    const series = trend.series[at];
    const points = series.values.map((figure, i) => ({ date: new Date(`${trend.starts[i]}T00:00:00`), ...figure, quotes: series.period_quotes[i], name: `${data.series[at]} · ${trend.starts[i]}` }));
    const banded = points.map((p) => (p.low == null ? { ...p, low: NaN, high: NaN } : p));
    const shown = points.filter((p) => p.value != null);
    if (!shown.length) return make("p", { className: "hint", textContent: say("nothing") });
    const ends = shown.flatMap((p) => [p.low ?? p.value, p.high ?? p.value]);
    const domain = [Math.max(0, Math.floor(Math.min(...ends) / 10) * 10), Math.min(100, Math.ceil(Math.max(...ends) / 10) * 10)];
    const marks = series.changes.map((change) => ({ date: new Date(`${change.at}T00:00:00`), text: `${change.at}: ${fixed(change.before.value)} → ${fixed(change.after.value)}` }));
    const last = shown[shown.length - 1], middle = d3.mean(points, (p) => +p.date);
    return Plot.plot(base(width, {
      height, marginLeft: 34, marginRight: 46, marginTop: 24, marginBottom: 28,
      x: { type: "time", label: null, tickSize: 0, ticks: Math.min(points.length, Math.floor(width / 90)), tickFormat: d3.timeFormat("%Y-%m") },
      y: { domain, label: null, grid: true, ticks: 4, tickSize: 0 },
      marks: [
        Plot.areaY(banded, { x: "date", y1: "low", y2: "high", fill: ACCENT, fillOpacity: 0.15 }),
        Plot.lineY(points.map((p) => ({ ...p, value: p.value ?? NaN })), { x: "date", y: "value", stroke: ACCENT, strokeWidth: 2 }),
        Plot.dot(shown, { x: "date", y: "value", fill: ACCENT, r: 2.5 }),
        Plot.dot(shown, { x: "date", y: "value", fill: "transparent", r: 7, href: linked, title: (p) => `${d3.timeFormat("%Y-%m-%d")(p.date)}: ${withInterval(p)}` }), // large enough to be hit
        Plot.ruleX(marks, { x: "date", stroke: INK, strokeDasharray: "4,3" }),
        marks.map((mark) => Plot.text([mark], { x: "date", frameAnchor: "top", dy: -16, textAnchor: +mark.date > middle ? "end" : "start", text: "text", fill: INK, fontSize: 12, fontWeight: 600 })),
        Plot.text([last], { x: "date", y: "value", dx: 8, textAnchor: "start", text: (p) => `${fixed(p.value)}\nn ${fixed(p.n, 0)}`, fill: ACCENT, fontWeight: 600, fontSize: 12 }),
      ],
    }));
  }

  /** Where the names of points go so that they cover neither each other nor a dot: greedily, twelve places each. */
  function place(points, width, height) {
    const size = 12, taken = points.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]);
    const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    return [...points].sort((a, b) => a.y - b.y).flatMap((point) => {
      const long = [...point.text].reduce((sum, c) => sum + (c.codePointAt(0) > 0x2e7f ? 1 : 0.56), 0) * size;
      for (const reach of [0, 10, 22]) for (const [anchor, dx, dy] of [["start", 8, 0], ["end", -8, 0], ["middle", 0, -13], ["middle", 0, 13], ["start", 8, -11 - reach], ["start", 8, 11 + reach], ["end", -8, -11 - reach], ["end", -8, 11 + reach]]) {
        const left = point.x + dx - (anchor === "start" ? 0 : anchor === "end" ? long : long / 2);
        const box = [left, point.y + dy - 8, left + long, point.y + dy + 8];
        if (box[0] < 46 || box[2] > width - 4 || box[1] < 40 || box[3] > height - 42 || taken.some((other) => meets(box, other))) continue;
        taken.push(box);
        return [{ ...point, anchor, dx, dy }];
      }
      return []; // no room: it is named below the chart
    });
  }

  function draw(box, width) {
    const drawn = [charts[box.dataset.chart](width, box)].flat().filter(Boolean);
    box.replaceChildren(...(drawn.length ? drawn : [make("p", { className: "hint", textContent: say("nothing") })]));
    for (const link of box.querySelectorAll("a")) { // a picture may not hold links; points answer the mouse, tables have buttons
      const point = link.firstElementChild;
      point.dataset.texts = link.href.baseVal.slice(1);
      link.replaceWith(point);
    }
    for (const svg of box.querySelectorAll("svg")) { // the box is one picture with a label; the tables hold its figures
      svg.setAttribute("aria-hidden", "true");
      for (const part of svg.querySelectorAll("[aria-label], [aria-description]")) ["aria-label", "aria-description"].forEach((name) => part.removeAttribute(name));
    }
  }
  const boxes = [...document.querySelectorAll("[data-chart]")].filter((box) => charts[box.dataset.chart]);
  for (const box of boxes) {
    box.addEventListener("click", (event) => {
      const point = event.target.closest("[data-texts]");
      if (!point) return;
      const [key, name] = decodeURIComponent(point.dataset.texts).split("\n");
      open(key, kindOf(key) ? `${name} · ${say(kindOf(key))}` : name);
    });
    box.closest("details")?.addEventListener("toggle", () => draw(box, box.clientWidth)); // what is folded has no width
  }
  const drawAll = (width) => boxes.forEach((box) => draw(box, Math.max(260, Math.round(width ? Math.min(width, box.clientWidth || width) : box.clientWidth))));
  const trend = data.changes.trend;
  function main({ series }) { return Math.max(0, series.findIndex((one) => one.key === "service" && !one.cinema)); }
  if (trend && trend.series.length > 1) {
    const box = document.querySelector('[data-chart="trend"]');
    const select = make("select", {}, ...data.series.map((name, at) => make("option", { value: String(at), textContent: name })));
    select.value = String(main(trend));
    select.addEventListener("change", () => { box.dataset.series = select.value; draw(box, box.clientWidth); });
    box?.before(make("p", { className: "choose" }, make("label", {}, `${say("choose_series")} `, select)));
  }
  drawAll();
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (width === window.innerWidth) return; // a telephone's address bar came or went
    width = window.innerWidth;
    drawAll();
  });
  const closed = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) { details.open = true; closed.push(details); }
    for (const one of unfold) one(true);
    drawAll(690);
  });
  window.addEventListener("afterprint", () => {
    for (const details of closed.splice(0)) details.open = false;
    for (const one of unfold) one(false);
    drawAll();
  });

  // --- tables -------------------------------------------------------------------------------------------------------
  const unfold = []; // of folded tables, for printing
  const FEW = 12; // rows of a long table that are shown at first
  const collator = new Intl.Collator(data.lang === "zh" ? "zh" : "en", { numeric: true });
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], rows = [...body.rows];
    [...table.tHead.rows[0].cells].forEach((head, at) => head.querySelector("button")?.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" || (!head.hasAttribute("aria-sort") && head.classList.contains("num"));
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[at].dataset.sort ?? "";
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === ""); // empty last, both ways
        const order = head.classList.contains("num") && x !== "" && !isNaN(x) && !isNaN(y) ? x - y : collator.compare(x, y);
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
      table.dispatchEvent(new Event("sorted"));
    }));
    if (!table.hasAttribute("data-filter")) continue;
    const count = make("span"), input = make("input", { type: "search" });
    count.setAttribute("role", "status");
    let all = rows.length <= FEW + 8;
    const more = make("button", { type: "button", className: "more", hidden: all });
    const update = () => {
      const wanted = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted) || (!all && !wanted && shown >= FEW);
        shown += !row.hidden;
      }
      more.textContent = all ? say("show_fewer", { k: FEW }) : say("show_all", { n: rows.length });
      count.textContent = shown < rows.length ? say("rows_shown", { k: shown, n: rows.length }) : "";
    };
    input.addEventListener("input", update);
    more.addEventListener("click", () => { all = !all; update(); });
    table.addEventListener("sorted", update);
    table.parentElement.before(make("div", { className: "filter" }, make("label", {}, `${say("filter")} `, input), count));
    table.parentElement.after(more);
    unfold.push((open) => { if (rows.length <= 40 && !more.hidden) { all = open; update(); } });
    update();
  }

  // --- texts behind the figures --------------------------------------------------------------------------------------
  const dialog = document.getElementById("quotes"), list = document.getElementById("quotes-list");
  const filter = document.getElementById("quotes-filter"), count = document.getElementById("quotes-count");
  let total = 0;

  /** The text with its evidence marked. Offsets count code points. `focus`: the dimension that was asked for. */
  function marked(quote, focus) {
    const letters = Array.from(quote.text), paragraph = make("p");
    const spans = quote.mentions.filter((m) => m.start != null && m.end > m.start && m.end <= letters.length)
      .sort((a, b) => (b.dimension === focus) - (a.dimension === focus));
    const owner = new Array(letters.length).fill(null);
    for (const span of spans) for (let i = span.start; i < span.end; i++) owner[i] ??= span;
    for (let from = 0, to; from < letters.length; from = to) {
      for (to = from + 1; to < letters.length && owner[to] === owner[from]; to++);
      const part = letters.slice(from, to).join(""), span = owner[from];
      if (!span) { paragraph.append(part); continue; }
      const other = focus && span.dimension !== focus ? " other" : "";
      paragraph.append(make("mark", { className: span.sentiment + other, textContent: part, title: `${nameOf(span.dimension)}: ${say(span.sentiment)}` }));
    }
    if (quote.cut) paragraph.append(` … ${say("cut")}`);
    return paragraph;
  }

  function item(quote, focus) {
    const about = make("p", { className: "about" });
    const facts = [quote.date, quote.cinema, quote.rating == null ? null : `${say("rating")} ${fixed(quote.rating, quote.rating % 1 ? 1 : 0)}`,
      quote.intent ? say(quote.intent) : null, quote.owner ? `${say("owner")}: ${nameOf(quote.owner)}` : null,
      quote.days == null ? null : say("days_ago", { n: quote.days }), quote.replied == null ? null : say(quote.replied ? "replied" : "not_replied"),
      `${quote.source} ${say("row", { n: quote.row })}`];
    if (quote.escalation) about.append(make("b", { textContent: say("escalate") }), " · ");
    about.append(facts.filter(Boolean).join(" · "));
    const said = quote.mentions.map((m) => `${nameOf(m.dimension)} ${say(m.sentiment)}`).join(data.lang === "zh" ? "、" : ", ");
    return make("li", {}, marked(quote, focus), about, ...(said ? [make("p", { className: "about", textContent: said })] : []));
  }

  const KINDS = ["negative", "positive", "neutral"];
  /** The sentiment that a list is of, if it is of one. */
  function kindOf(key) { return KINDS.find((kind) => key.endsWith(`/${kind}`)); }

  function open(key, what) {
    const found = data.quotes[key];
    if (!found) return;
    const focus = key.split("/").find((part) => data.dimensions.includes(part));
    total = found.total;
    document.getElementById("quotes-title").textContent = what;
    const kind = kindOf(key), stem = kind ? key.slice(0, -kind.length) : "";
    const kinds = kind ? KINDS.filter((one) => data.quotes[stem + one]) : [];
    document.getElementById("quotes-kinds").replaceChildren(...(kinds.length < 2 ? [] : kinds.map((one) => {
      const button = make("button", { type: "button", textContent: `${say(one)} ${fixed(data.quotes[stem + one].total, 0)}` });
      button.setAttribute("aria-pressed", String(one === kind));
      button.addEventListener("click", () => {
        const parts = what.split(" · ");
        open(stem + one, [...(parts.length > 1 ? parts.slice(0, -1) : parts), say(one)].join(" · "));
        document.querySelector('#quotes-kinds [aria-pressed="true"]')?.focus();
      });
      return button;
    })));
    list.replaceChildren(...found.texts.map((at) => item(data.texts[at], focus)));
    filter.value = "";
    narrowTexts();
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }
  function narrowTexts() {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const entry of list.children) {
      entry.hidden = !entry.textContent.toLowerCase().includes(wanted);
      shown += !entry.hidden;
    }
    count.textContent = say("k_of_n", { k: fixed(shown, 0), n: fixed(total, 0) });
  }
  filter.addEventListener("input", narrowTexts);
  document.getElementById("quotes-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  for (const button of document.querySelectorAll("button.quotes")) {
    const { quotes, what } = button.dataset;
    button.addEventListener("click", () => open(quotes, what));
    if (button.querySelector("b")) // a number that is a button itself; there are too many to say it in the file
      button.setAttribute("aria-label", `${button.textContent}: ${say("show_texts", { what, n: fixed(data.quotes[quotes].total, 0) })}`);
  }

  // --- theme and print -------------------------------------------------------------------------------------------------
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  document.getElementById("print").addEventListener("click", () => window.print());
  root.dataset.ready = "true";
})();
