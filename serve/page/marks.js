// A text with the evidence of each mention marked in the colour of its dimension; marks may overlap.

import { el } from "./dom.js";

// Equal steps of what the eye sees (hues of OKLCH, every 30°) as hues of HSL, where greens take far more room than reds.
const SEEN = [345, 368, 388, 406, 435, 505, 525, 547, 564, 586, 622, 670, 705];

/** `count` hues, all as far apart as can be seen, and neighbours far from each other (ordered by the golden angle). */
export function hues(count) {
  const turns = Array.from({ length: count }, (_, i) => (i * 0.381966 + 0.69) % 1);
  const ranks = [...turns].sort((a, b) => a - b);
  return turns.map((turn) => {
    const at = (12 * ranks.indexOf(turn)) / count;
    const below = Math.floor(at);
    return Math.round(SEEN[below] + (at - below) * (SEEN[below + 1] - SEEN[below])) % 360;
  });
}

/**
 * The text cut wherever a mention begins or ends: [{start, end, mentions}], in order, without gaps. `mentions` are those
 * that cover the piece, each {start, end, …} in UTF-16 units; one that does not lie within the text is left out.
 */
export function pieces(text, mentions) {
  const inside = mentions.filter(({ start, end }) => 0 <= start && start < end && end <= text.length);
  const cuts = [...new Set([0, text.length, ...inside.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  return cuts.slice(0, -1).map((start, i) => ({
    start,
    end: cuts[i + 1],
    mentions: inside.filter((mention) => mention.start <= start && cuts[i + 1] <= mention.end),
  }));
}

/** mention → the line under the text that is its own: no two that overlap share one. */
export function lanes(mentions) {
  const ends = [];
  const found = new Map();
  for (const mention of [...mentions].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const free = ends.findIndex((end) => end <= mention.start);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = mention.end;
    found.set(mention, lane);
  }
  return found;
}

const colour = (mention) => `hsl(${mention.hue} var(--line-s) var(--line-l))`;

/**
 * Fills `place` with the text. Each mention is {start, end, hue, dimension}; `tag(mention)` is the node that follows its
 * last word.
 */
export function drawMarks(place, text, mentions, tag) {
  const lane = lanes(mentions);
  place.replaceChildren();
  for (const piece of pieces(text, mentions)) {
    const words = text.slice(piece.start, piece.end);
    if (!piece.mentions.length) {
      place.append(el("span", { "data-start": piece.start }, words));
      continue;
    }
    const tags = piece.mentions.filter(({ end }) => end === piece.end).map(tag);
    // A tag stays on the line of the last character before it (never half an emoji), and a comma on the line of the tag.
    const last = tags.length ? (/[\p{L}\p{N}\p{P}]$/u.exec(words)?.[0] ?? "") : "";
    const most = words.slice(0, words.length - last.length);
    if (most) place.append(mark(piece, piece.start, most, lane));
    if (!tags.length) continue;
    const end = last ? mark(piece, piece.end - last.length, last, lane) : null;
    place.append(el("span", { class: "end" }, end, ...tags, el("span", { class: "joint", "aria-hidden": "true" }, "\u2060")));
  }
}

function mark(piece, start, words, lane) {
  const { mentions } = piece;
  const node = el("mark", { "data-start": start, "data-keys": mentions.map(({ dimension }) => dimension).join(" ") }, words);
  const inner = mentions.reduce((a, b) => (b.end - b.start < a.end - a.start ? b : a));
  node.style.setProperty("--hue", inner.hue);
  node.style.backgroundImage = mentions.map((mention) => `linear-gradient(${colour(mention)}, ${colour(mention)})`).join(",");
  node.style.backgroundPosition = mentions.map((mention) => `0 calc(100% - ${3 * lane.get(mention)}px)`).join(",");
  return node;
}

/** The part of `place` that is selected, {start, end} in the text's UTF-16 units; null if nothing in it is. */
export function selected(place) {
  const selection = document.getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const [start, end] = [position(place, range.startContainer, range.startOffset), position(place, range.endContainer, range.endOffset)];
  return start === null || end === null || start >= end ? null : { start, end };
}

function position(place, node, offset) {
  const holder = node.parentElement;
  if (node.nodeType !== Node.TEXT_NODE || !place.contains(node)) return null;
  return holder.dataset.start === undefined ? null : Number(holder.dataset.start) + offset;
}
