"""3. Did it work? Comparisons, league and trend put together from scored columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.report import comparison, index, league, trend
from sentiment.report.action import facts
from sentiment.report.cells import index_cells
from sentiment.report.discoveries import corrected
from sentiment.report.intervals import MIN_CINEMAS, Floats, Units, make_units, weights
from sentiment.report.limits import MOST_ROWS
from sentiment.report.mention_quotes import MentionQuotes
from sentiment.report.model import Changes, CinemaChange, Comparison, ComparisonRow, Label, League
from sentiment.report.quotes import Quotes
from sentiment.report.scored import Scored
from sentiment.report.trend_quotes import quote_periods, quote_series
from sentiment.report.work import Work

MOST_GROUPS = 30


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
    if not dated.any():
        notes.add("no_dates")
    found_league = _league(work, keys)
    scanned = _scan(work, keys) if dated.any() else None
    comparisons, q = corrected(comparisons, ([], []) if scanned is None else scanned.p)
    found_trend = None
    if scanned is not None:
        found_trend = quote_series(work, trend.shown(scanned, q), _periods(work), _sets(work))
    return Changes(comparisons, found_league, found_trend)


def _sets(work: Work) -> dict[str, list[int]]:
    """What is compared: all service, each of its dimensions, the film."""
    keys = work.scored.taxonomy.keys
    return {"service": work.service, **{keys[d]: [d] for d in (*work.service, *work.film)}}


@dataclass(frozen=True)
class _Side:
    """One side of a comparison: its texts among those of `scored`, where their quotes come from and go."""

    scored: Scored
    texts: NDArray[np.bool_]
    mentions: MentionQuotes
    prefix: str

    def quote(self, key: str, dimensions: list[int], cinema: int | None = None) -> str | None:
        """The texts about these dimensions, of one cinema or of all."""
        if cinema is None:
            return self.mentions.add(f"{self.prefix}/{key}", dimensions, self.texts)
        among = self.texts & (self.scored.cinema == cinema)
        return self.mentions.add(f"{self.prefix}/{self.scored.cinemas[cinema]}/{key}", dimensions, among)


def _two_sides(
    work: Work,
    kind: Literal["since", "by"],
    column: str | None,
    labels: tuple[Label, Label],
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> list[Comparison]:
    """One comparison of two sets of the same texts; none, with a note, if one is empty."""
    scored = work.scored
    if not all(side.any() for side in sides):
        work.notes.add("empty_side", name=labels[1].zh, name_en=labels[1].en)
        return []
    units, weight = work.units, work.weight
    cinemas_of = [len(np.unique(scored.cinema[side & (scored.cinema >= 0)])) for side in sides]
    if units.kind == "cinemas" and min(cinemas_of) < MIN_CINEMAS:
        units = make_units(len(scored), None, work.rng)
        weight = weights(units.count, work.options.replicates, work.rng)
    both = [
        _Side(scored, side, work.mentions, f"since/{name}" if kind == "since" else f"by/{labels[1].zh}/{name}")
        for side, name in zip(sides, ("before", "after"), strict=True)
    ]
    rows = _rows(work, both, [units.select(side) for side in sides], weight)
    cinemas = _within_cinemas(work, both) if kind == "since" else []
    return [Comparison(kind, column, *labels, int(sides[0].sum()), int(sides[1].sum()), rows, cinemas)]


def _with_files(work: Work, before: Scored) -> list[Comparison]:
    """`--compare`: other files are before, ours after. Cinemas are matched by name and resampled for both sides
    at once, so that each is compared with itself."""
    before = before.only(before.status == 0)
    names = ", ".join(before.files)
    if before.taxonomy.keys != work.scored.taxonomy.keys:
        work.notes.add("other_dimensions", name=names)
        return []
    if len(before) == 0 or len(work.scored) == 0:
        work.notes.add("empty_side", name=names, name_en=names)
        return []
    models = [*dict.fromkeys([*before.models, *work.scored.models])]
    if set(before.models) != set(work.scored.models):
        work.notes.add("compared_models", names=", ".join(models))
    files = (before, work.scored)
    if before.from_probabilities != work.scored.from_probabilities:
        work.notes.add("compared_counts")
        files = (before.counted(), work.scored.counted())
    cinemas = [len(np.unique(side.cinema[side.cinema >= 0])) for side in files]
    of = np.concatenate(_matched(files)[1])
    units = make_units(len(of), of if min(cinemas) >= MIN_CINEMAS else None, work.rng)
    weight = weights(units.count, work.options.replicates, work.rng)
    first = np.arange(len(of)) < len(before)
    found = facts(before, work.service, None)
    owners: list[str | None] = [*found.owners, None]
    quotes = Quotes(before, [owners[code] for code in found.owner.tolist()], found.days, work.quotes.book)
    both = [
        _Side(files[0], np.ones(len(before), bool), MentionQuotes(before, quotes), "compare/before"),
        _Side(files[1], np.ones(len(work.scored), bool), work.mentions, "compare/after"),
    ]
    rows = _rows(work, both, [units.select(first), units.select(~first)], weight)
    after = ", ".join(work.scored.files)
    within = _within_cinemas(work, both)
    labels = Label(names, names), Label(after, after)
    return [Comparison("compare", None, *labels, len(before), len(work.scored), rows, within)]


def _matched(sides: Sequence[Scored]) -> tuple[list[str], list[NDArray[np.int32]]]:
    """The cinemas of all sides by name, and which of them each text is of, -1 unknown."""
    names = list(dict.fromkeys(name for side in sides for name in side.cinemas))
    place = {name: code for code, name in enumerate(names)}
    return names, [np.array([*(place[name] for name in side.cinemas), -1], np.int32)[side.cinema] for side in sides]


def _rows(work: Work, both: list[_Side], of: list[Units], weight: Floats) -> list[ComparisonRow]:
    """The rows of two sides with the texts behind them; `of`: the units of each side's texts, `weight` of both."""
    sets = _sets(work)
    sums = []
    faulted: dict[str, list[comparison.Counted]] = {key: [] for key, chosen in sets.items() if len(chosen) != 1}
    for side, units in zip(both, of, strict=True):
        p = side.scored.probabilities if side.texts.all() else side.scored.probabilities[side.texts]
        sums.append(index.tally(p, units, weight))
        for key, found in faulted.items():
            texts = units.sums(index.any_negative(p, sets[key]))
            found.append((float(texts.sum()), weight @ texts))
    both_faulted = {key: (found[0], found[1]) for key, found in faulted.items()}
    rows = comparison.compare(sums[0], sums[1], list(sets.items()), both_faulted)
    return [
        replace(
            row, before_quotes=both[0].quote(row.key, sets[row.key]), after_quotes=both[1].quote(row.key, sets[row.key])
        )
        for row in rows
    ]


def _within_cinemas(work: Work, both: list[_Side]) -> list[CinemaChange]:
    """The same within each cinema that both sides have, matched by name; none where there is but one. The surest have
    their texts, as many as a page shows."""
    names, codes = _matched([side.scored for side in both])
    if len(names) < 2:
        return []
    cells = [
        index_cells(side.scored.probabilities, np.where(side.texts, of, -1), len(names), work.service)
        for side, of in zip(both, codes, strict=True)
    ]
    found = comparison.cinema_changes(cells[0], cells[1], names, [*work.scored.taxonomy.keys, "service"])
    sets = _sets(work)
    quoted = []
    for change in found[:MOST_ROWS]:
        keys = [side.quote(change.key, sets[change.key], side.scored.cinemas.index(change.cinema)) for side in both]
        quoted.append(replace(change, before_quotes=keys[0], after_quotes=keys[1]))
    return quoted + found[MOST_ROWS:]


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
    """By cinema, or by the column of `--by`."""
    scored = work.scored
    column, codes, names = work.roles.get("cinema"), scored.cinema, scored.cinemas
    if work.options.by is not None and scored.groups:
        column, codes, names = work.roles.get("group"), scored.group, scored.groups
    if column is None:
        work.notes.add("no_cinemas")
        return None
    cells = index_cells(scored.probabilities, codes, len(names), work.service)
    quoted = work.mentions.add_groups([f"cinema/{name}" for name in names], work.service, codes)
    found = league.league(column, cells, names, keys, work.rng, dict(zip(names, quoted, strict=True)))
    if found is None:
        work.notes.add("one_cinema")
    enough = int((cells.mentions[:, -1] >= league.MIN_RANKED).sum())
    if enough > league.MOST_RANKED:
        work.notes.add("many_cinemas", n=enough, shown=league.MOST_RANKED)
    return found


def _scan(work: Work, keys: list[str]) -> trend.Scan | None:
    """Where the index may have changed; a note where there is no trend, or no trend by week."""
    scored = work.scored
    period = work.options.period
    found = trend.scan(scored.probabilities, scored.date, scored.cinema, scored.cinemas, keys, work.service, period)
    if found is None:
        work.notes.add("one_period")
    elif period is not None and found.kind != period:
        work.notes.add("many_weeks", most=trend.MOST_WEEKS)
    return found


def _periods(work: Work) -> NDArray[np.int32]:
    """The period of every text."""
    return trend.periods(work.scored.date, work.options.period)[1]


def with_period_quotes(work: Work, changes: Changes) -> Changes:
    """The texts behind every period of the trend; after everything else has its own."""
    if changes.trend is None:
        return changes
    return replace(changes, trend=quote_periods(work, changes.trend, _periods(work), _sets(work)))
