"""3. Did it work? Comparisons, league and trend put together from scored columns."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.report import comparison, index, league, trend
from sentiment.report.cells import index_cells
from sentiment.report.intervals import MIN_CINEMAS, Units, make_units, weights
from sentiment.report.model import Changes, Comparison, Label, League
from sentiment.report.scored import NEGATIVE, Scored
from sentiment.report.work import Work

MOST_GROUPS = 30
QUOTED_CINEMAS = 50


def build_changes(work: Work, before: Scored | None) -> Changes:
    """All comparisons that were asked for, the league and the trend."""
    scored, notes, options = work.scored, work.notes, work.options
    keys = [*scored.taxonomy.keys, "service"]
    dated = ~np.isnat(scored.date)
    comparisons: list[Comparison] = []
    if before is not None:
        comparisons += _with_files(work, before)
    if options.since is not None and dated.any():
        day = np.datetime64(options.since, "D")
        sides = dated & (scored.date < day), dated & (scored.date >= day)
        label = (
            Label(f"{options.since} 之前", f"before {options.since}"),
            Label(f"{options.since} 起", f"since {options.since}"),
        )
        comparisons += _two_sides(work, "since", work.roles.get("date"), label, sides)
    if options.by is not None:
        comparisons += _by_groups(work)
    found_trend = None
    if not dated.any():
        notes.add("no_dates")
    else:
        found_trend = trend.trend(scored.probabilities, scored.date, scored.cinema, scored.cinemas, keys, work.service)
        if found_trend is None:
            notes.add("one_period")
    return Changes(comparisons, _league(work, keys), found_trend)


def _sets(work: Work) -> list[tuple[str, list[int]]]:
    keys = work.scored.taxonomy.keys
    return [("service", work.service), *((keys[d], [d]) for d in (*work.service, *work.film))]


def _two_sides(
    work: Work,
    kind: Literal["since", "compare", "by"],
    column: str | None,
    labels: tuple[Label, Label],
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> list[Comparison]:
    """One comparison of two sets of the same texts; none, with a note, if one is empty."""
    scored = work.scored
    if not all(side.any() for side in sides):
        work.notes.add("empty_side", name=labels[1].zh)
        return []
    units, weight = work.units, work.weight
    cinemas_of = [len(np.unique(scored.cinema[side & (scored.cinema >= 0)])) for side in sides]
    if units.kind == "cinemas" and min(cinemas_of) < MIN_CINEMAS:
        units = make_units(len(scored), None, work.rng)
        weight = weights(units.count, work.options.replicates, work.rng)
    sums = [index.tally(scored.probabilities[side], units.select(side), weight) for side in sides]
    cinemas = []
    if kind == "since" and len(scored.cinemas) > 1:
        cells = [
            index_cells(scored.probabilities, np.where(side, scored.cinema, -1), len(scored.cinemas), work.service)
            for side in sides
        ]
        keys = [*scored.taxonomy.keys, "service"]
        cinemas = comparison.cinema_changes(cells[0], cells[1], scored.cinemas, keys)
    rows = comparison.compare(sums[0], sums[1], _sets(work))
    return [Comparison(kind, column, *labels, int(sides[0].sum()), int(sides[1].sum()), rows, cinemas)]


def _with_files(work: Work, before: Scored) -> list[Comparison]:
    """`--compare`: other files are before, ours after; every bootstrap of its own units."""
    before = before.only(before.status == 0)
    names = ", ".join(before.files)
    if before.taxonomy.keys != work.scored.taxonomy.keys or len(before) == 0 or len(work.scored) == 0:
        work.notes.add("empty_side", name=names)
        return []
    sums = []
    both = (before, work.scored)
    cinemas = [len(np.unique(side.cinema[side.cinema >= 0])) for side in both]
    for side in both:
        units: Units = make_units(len(side), side.cinema if min(cinemas) >= MIN_CINEMAS else None, work.rng)
        weight = weights(units.count, work.options.replicates, work.rng)
        sums.append(index.tally(side.probabilities, units, weight))
    rows = comparison.compare(sums[0], sums[1], _sets(work))
    after = ", ".join(work.scored.files)
    return [
        Comparison("compare", None, Label(names, names), Label(after, after), len(before), len(work.scored), rows, [])
    ]


def _by_groups(work: Work) -> list[Comparison]:
    """`--by`: each group against all others, the groups with most texts."""
    scored = work.scored
    count = np.bincount(scored.group[scored.group >= 0], minlength=len(scored.groups))
    order = np.argsort(-count, kind="stable")[:MOST_GROUPS]
    if len(scored.groups) > MOST_GROUPS:
        work.notes.add("many_groups", n=len(scored.groups), shown=MOST_GROUPS)
    found: list[Comparison] = []
    for group in order.tolist():
        name = scored.groups[group]
        sides = (scored.group >= 0) & (scored.group != group), scored.group == group
        found += _two_sides(
            work, "by", work.roles.get("group"), (Label("其余", "all others"), Label(name, name)), sides
        )
        if len(scored.groups) == 2:
            break
    return found


def _league(work: Work, keys: list[str]) -> League | None:
    """By cinema, or by the column of `--by`; with the negative texts of the greatest."""
    scored = work.scored
    column, codes, names = work.roles.get("cinema"), scored.cinema, scored.cinemas
    if work.options.by is not None and scored.groups:
        column, codes, names = work.roles.get("group"), scored.group, scored.groups
    if column is None:
        work.notes.add("no_cinemas")
        return None
    cells = index_cells(scored.probabilities, codes, len(names), work.service)
    quoted: dict[str, str | None] = {}
    m = scored.mentions
    negative = scored.labels[m.row, m.dimension] == NEGATIVE if len(m.row) else np.zeros(0, bool)
    at = np.flatnonzero(negative & np.isin(m.dimension, work.service))
    at = at[np.lexsort((-m.confidence[at], m.row[at]))]
    at = at[np.unique(m.row[at], return_index=True)[1]]
    of = codes[m.row[at]]
    for group in np.argsort(-cells.texts, kind="stable")[:QUOTED_CINEMAS].tolist():
        mine = at[of == group]
        quoted[names[group]] = work.quotes.add(
            f"cinema/{names[group]}", m.row[mine].astype(np.intp), m.confidence[mine]
        )
    found = league.league(column, cells, names, keys, work.rng, quoted)
    if found is None:
        work.notes.add("one_cinema")
    return found
