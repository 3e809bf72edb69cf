"""6. What do they say? Phrases, topics and the texts behind the numbers, put together from scored columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sentiment.report import topics
from sentiment.report.intervals import share_figure
from sentiment.report.model import PhraseSet, Topic, Voices
from sentiment.report.phrases import cutter, phrase_lists, terms
from sentiment.report.scored import NEGATIVE, POSITIVE
from sentiment.report.work import Work

SAMPLE = 5000  # texts of a side, whole texts and topics
SAMPLE_EVIDENCE = 1500  # mentions of a side, per dimension
LEAST_SIDE = 10


def build_voices(work: Work) -> Voices:
    """Phrases of whole texts and of each dimension's evidence, topics beyond the dimensions, and all quoted texts."""
    scored = work.scored
    none: NDArray[np.bool_] = np.asarray((scored.labels < 0).all(1))
    uncovered = share_figure(float(none.sum()), len(scored))
    sets: list[PhraseSet] = []
    found: list[Topic] = []
    candidates = 0
    if work.roles.get("text") is not None and len(scored):
        cut = cutter()
        sides = [np.flatnonzero(scored.overall == code) for code in (NEGATIVE, POSITIVE)]
        if max(map(len, sides)) > SAMPLE:
            work.notes.add("sampled", n=SAMPLE)
        whole = [topics.drawn(side, SAMPLE, work.rng) for side in sides]
        if min(map(len, whole)) >= LEAST_SIDE:
            words = [[terms(scored.text(row), cut) for row in side.tolist()] for side in whole]
            sets.append(_phrase_set(work, "overall", words, whole))
        else:
            work.notes.add("no_phrases")
        sets += _dimension_phrases(work, cut)
        found, candidates = _topics(work, none, cut)
    bare = np.flatnonzero(none)
    quoted = work.quotes.add("uncovered", bare, np.ones(len(bare)))
    return Voices(work.quotes.book.texts, work.quotes.book.lists, sets, found, uncovered, quoted, candidates)


def _phrase_set(work: Work, key: str, words: list[list[set[str]]], rows: list[NDArray[np.intp]]) -> PhraseSet:
    """The phrases of negative and positive `words`, each with the texts that hold it: those of its own side first."""
    lists = []
    negative, positive, found = phrase_lists(words[0], words[1])
    for side, phrases in enumerate((negative, positive)):
        quoted = []
        for phrase in phrases:
            holding = [
                of[np.array([phrase.words in found for found in some], bool)]
                for of, some in zip(rows, words, strict=True)
            ]
            texts = np.unique(np.concatenate(holding))
            own = np.isin(texts, holding[side])
            quoted.append(replace(phrase, quotes=work.quotes.add(f"phrase/{key}/{phrase.words}", texts, 0.5 + own)))
        lists.append(quoted)
    return PhraseSet(key, len(words[0]), len(words[1]), lists[0], lists[1], *found)


def _dimension_phrases(work: Work, cut: topics.Cutter) -> list[PhraseSet]:
    scored, m = work.scored, work.scored.mentions
    if len(m.row) == 0:
        return []
    label = scored.labels[m.row, m.dimension]
    known = m.start >= 0
    sets = []
    for d, key in enumerate(scored.taxonomy.keys):
        words: list[list[set[str]]] = []
        rows: list[NDArray[np.intp]] = []
        for code in (NEGATIVE, POSITIVE):
            at = topics.drawn(np.flatnonzero((m.dimension == d) & (label == code) & known), SAMPLE_EVIDENCE, work.rng)
            spans = zip(m.row[at].tolist(), m.start[at].tolist(), m.end[at].tolist(), strict=True)
            words.append([terms(scored.text(row)[start:end], cut) for row, start, end in spans])
            rows.append(m.row[at].astype(np.intp))
        if min(map(len, words)) >= LEAST_SIDE:
            sets.append(_phrase_set(work, key, words, rows))
    return sets


def _topics(work: Work, none: NDArray[np.bool_], cut: topics.Cutter) -> tuple[list[Topic], int]:
    """The topics, and of how many they are the surest."""
    scored = work.scored
    dated = ~np.isnat(scored.date)
    if dated.sum() >= 2 * topics.LEAST_TEXTS:
        candidates = topics.rising(scored, np.arange(len(scored)), SAMPLE, cut, work.rng)
        kinds = ["new" if topic.found.second == 0 else "rising" for topic in candidates]
    else:
        covered, bare = np.flatnonzero(~none), np.flatnonzero(none)
        candidates = topics.standing_out(scored, bare, covered, SAMPLE, cut, work.rng)
        kinds = ["uncovered"] * len(candidates)
    found = []
    for topic, kind in zip(candidates, kinds, strict=True):
        c = topic.found
        dates = scored.date[topic.rows]
        dates = dates[~np.isnat(dates)]
        found.append(
            Topic(
                c.term, kind, c.first, c.z,  # type: ignore[arg-type]
                share_figure(c.first, topic.recent), share_figure(c.second, topic.earlier),
                str(dates.min()) if len(dates) else None,
                work.quotes.add(f"topic/{c.term}", topic.rows, np.ones(len(topic.rows))),
            )
        )  # fmt: skip
    return found, candidates[0].candidates if candidates else 0
