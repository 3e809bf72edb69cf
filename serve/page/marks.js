// A text with the evidence of each mention marked in the colour of its dimension; marks may overlap.

import { el } from "./dom.js";

/** The hue of the dimension at `index` of the taxonomy: neighbours are far apart (the golden angle). */
export function hue(index) {
  return Math.round((index * 137.508 + 214) % 360);
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
    const mark = el("mark", { "data-start": piece.start, "data-keys": piece.mentions.map((m) => m.dimension).join(" ") }, words);
    const inner = piece.mentions.reduce((a, b) => (b.end - b.start < a.end - a.start ? b : a));
    mark.style.setProperty("--hue", inner.hue);
    mark.style.backgroundImage = piece.mentions.map((m) => `linear-gradient(${colour(m)}, ${colour(m)})`).join(",");
    mark.style.backgroundPosition = piece.mentions.map((m) => `0 calc(100% - ${3 * lane.get(m)}px)`).join(",");
    place.append(mark);
    for (const mention of piece.mentions.filter(({ end }) => end === piece.end)) place.append(tag(mention));
  }
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
