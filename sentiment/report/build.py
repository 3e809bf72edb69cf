"""Puts the report together: scored columns in, the six questions answered, with a note wherever one cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment import __version__
from sentiment.report import action, impact, index, lenses, model, priorities
from sentiment.report.changes import build_changes
from sentiment.report.intervals import LEVEL, Floats, make_units, weights
from sentiment.report.notes import Notes
from sentiment.report.quotes import URGENT, Quotes
from sentiment.report.read import ReadScored
from sentiment.report.scored import NEGATIVE, POSITIVE, Scored
from sentiment.report.voices import build_voices
from sentiment.report.work import ReportOptions, Work
from sentiment.taxonomy import HEADINGS, LENS_VALUES, Taxonomy

MIN_RATED = 50
FEW_ROWS = 100


def build_report(
    read: ReadScored,
    options: ReportOptions | None = None,
    before: ReadScored | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> model.Report:
    """The finished report; `before` is what `--compare` read. The same input, options and seed give the same report.

    Never raises for what the data lack: what cannot be answered is a note, and a figure without a value.
    """
    options = options or ReportOptions()
    notes = Notes()
    everything = read.scored
    ok = everything.status == 0
    scored = everything.only(ok)
    _input_notes(read, ok, notes)
    taxonomy = scored.taxonomy
    service = [taxonomy.index[key] for key in taxonomy.service_keys]
    rng = np.random.default_rng(options.seed)
    cinema = scored.cinema if read.roles.get("cinema") else None
    units = make_units(len(scored), cinema, rng)
    weight = weights(units.count, options.replicates, rng)
    progress("sums")
    sums = index.tally(scored.probabilities, units, weight)
    dates = scored.date[~np.isnat(scored.date)]
    as_of = np.datetime64(options.as_of, "D") if options.as_of else dates.max() if len(dates) else None
    facts = action.facts(scored, service, as_of)
    outcome, kind = _outcome(scored, notes)
    owners: list[str | None] = [*facts.owners, None]
    quotes = Quotes(scored, [owners[code] for code in facts.owner.tolist()], facts.days)
    work = Work(
        scored, service, [d for d in range(len(taxonomy.keys)) if d not in service],
        units, weight, sums, facts, quotes, notes, outcome, kind, options, read.roles, rng,
    )  # fmt: skip
    action_part = _action(work)  # first, so that the most urgent texts are sure of their place
    progress("index")
    performance = _performance(work)
    progress("priorities")
    priority = _priorities(work, performance)
    progress("changes")
    changes = build_changes(work, None if before is None else before.scored)
    lens_part = _lenses(work)
    progress("voices")
    voices = build_voices(work)
    meta = _meta(read, ok, work, dates, as_of)
    infos = [
        model.DimensionInfo(
            d.key, d.zh, d.en, i in service, d.group, d.stage, d.form, d.quality, d.ledger, d.servqual, d.owner
        )
        for i, d in enumerate(taxonomy.dimensions)
    ]
    parts = (performance, priority, changes, action_part, lens_part, voices)
    return model.Report(meta, infos, _labels(taxonomy), notes.with_reasons(set().union(*map(_reasons, parts))), *parts)


def _input_notes(read: ReadScored, ok: NDArray[np.bool_], notes: Notes) -> None:
    total, texts = len(ok), int(ok.sum())
    if texts == 0:
        notes.add("no_rows")
    elif texts < FEW_ROWS:
        notes.add("few_rows", n=texts)
    if texts < 0.9 * total:
        notes.add("many_unread", n=total - texts, total=total)
    if total and not read.scored.from_probabilities:
        notes.add("counts")
    rejected = sum(count for _, _, count, _ in read.files)
    if rejected:
        notes.add("rejected", n=rejected)
    if read.left_out:
        notes.add("left_out", names=", ".join(read.left_out))
    if len(read.scored.models) > 1:
        notes.add("several_models", names=", ".join(read.scored.models))
    for role in ("date", "rating"):
        if read.unread.get(role):
            notes.add(f"unread_{role}", n=read.unread[role])
    if read.roles.get("text") is None:
        notes.add("no_text")


def _outcome(scored: Scored, notes: Notes) -> tuple[Floats, str | None]:
    """What impact is measured on: the ratings, else overall sentiment as −1, 0, 1; NaN where unknown."""
    rated = np.isfinite(scored.rating)
    if rated.sum() >= MIN_RATED and np.ptp(scored.rating[rated]) > 0:
        return scored.rating.astype(np.float64), "rating"
    if rated.sum() >= MIN_RATED:
        notes.add("constant_rating", value=f"{float(scored.rating[rated][0]):g}")
    elif rated.any():
        notes.add("few_ratings", n=int(rated.sum()))
    overall = np.where(scored.overall >= 0, scored.overall - 1.0, np.nan)
    known = overall[np.isfinite(overall)]
    return overall, "overall" if len(known) >= MIN_RATED and np.ptp(known) > 0 else None


def _performance(work: Work) -> model.Performance:
    taxonomy, sums = work.scored.taxonomy, work.sums
    m = work.scored.mentions
    label = work.scored.labels[m.row, m.dimension] if len(m.row) else np.zeros(0, np.int8)
    service = np.isin(m.dimension, work.service)
    for name, code in (("negative", NEGATIVE), ("positive", POSITIVE)):
        for d, dimension in enumerate(taxonomy.dimensions):
            at = np.flatnonzero((m.dimension == d) & (label == code))
            work.quotes.add(f"dimension/{dimension.key}/{name}", m.row[at].astype(np.intp), m.confidence[at])
        at = np.flatnonzero(service & (label == code))
        first = at[np.unique(m.row[at], return_index=True)[1]]
        work.quotes.add(f"service/{name}", m.row[first].astype(np.intp), m.confidence[first])
    rows = [
        index.index_row(d.key, d.zh, d.en, [i], sums, work.any_of([i]), _quotes_of(work, f"dimension/{d.key}"))
        for i, d in enumerate(taxonomy.dimensions)
    ]
    groups = [
        index.index_row(value, value, value, chosen, sums, work.any_of(chosen))
        for value, chosen in lenses.lens_sets(taxonomy, "group", work.service)
    ]
    overall = index.index_row(
        "service", "服务总体", "all service", work.service, sums, work.any_of(work.service), _quotes_of(work, "service")
    )
    if overall.index.value is None:
        work.notes.add("no_service")
    return model.Performance(
        overall,
        groups,
        [rows[i] for i in work.service],
        rows[work.film[0]] if work.film else None,
        index.sentiment_shares(work.scored.overall, work.units, work.weight),
    )


def _quotes_of(work: Work, prefix: str) -> str | None:
    """The negative texts behind a row, the positive ones where there are none."""
    for name in ("negative", "positive"):
        if f"{prefix}/{name}" in work.quotes.lists:
            return f"{prefix}/{name}"
    return None


def _priorities(work: Work, performance: model.Performance) -> model.Priorities:
    keys = list(work.scored.taxonomy.keys)
    rows: list[model.ImpactRow] = []
    found = None
    if work.outcome_kind is not None:
        known = np.isfinite(work.outcome)
        every = bool(known.all())
        found = impact.fit_impact(
            work.scored.probabilities if every else work.scored.probabilities[known],
            work.outcome if every else work.outcome[known],
            work.units.select(known),
            work.weight,
        )
        if found is None:
            work.notes.add("too_few_for_impact")
        else:
            rows = impact.impact_rows(found, keys, work.service)
    else:
        work.notes.add("no_outcome")
    if found is not None and work.outcome_kind == "overall":
        work.notes.add("exploratory")
    points, cross_x, cross_y = priorities.importance_performance(
        performance.dimensions, rows, performance.overall.index.value
    )
    benchmark: Any = None
    fixes: list[model.FixRow] = []
    if performance.overall.index.value is not None:
        benchmark, fixes = _fix_first(work, performance)
    if not fixes:
        work.notes.add("no_negatives")
    elif benchmark == "halved":
        work.notes.add("halved")
    return model.Priorities(
        "rating" if work.outcome_kind == "rating" else "overall" if found else None,
        found is not None and work.outcome_kind == "overall",
        found.low if found else None,
        found.high if found else None,
        found.r2 if found else None,
        found.n if found else 0,
        rows,
        cross_x,
        cross_y,
        points,
        benchmark if fixes else None,
        fixes,
    )


def _fix_first(work: Work, performance: model.Performance) -> tuple[Any, list[model.FixRow]]:
    scored, keys = work.scored, work.scored.taxonomy.keys
    known = scored.cinema >= 0
    size = len(scored.cinemas)
    texts = np.bincount(scored.cinema[known], minlength=size).astype(np.float64)
    negative, square = np.zeros((size, len(keys))), np.zeros((size, len(keys)))
    for d in work.service:
        p = scored.probabilities[known, d, 0].astype(np.float64)
        negative[:, d] = np.bincount(scored.cinema[known], p, size)
        square[:, d] = np.bincount(scored.cinema[known], p * p, size)
    rates = [row.negative_share for row in performance.dimensions]
    benchmark, gains = priorities.fix_first(work.sums, work.service, rates, negative, square, texts, work.rng)
    rows = []
    for rank, gain in enumerate(gains, 1):
        key = f"dimension/{keys[gain.dimension]}/negative"
        quotes = key if key in work.quotes.lists else None
        rows.append(model.FixRow(rank, keys[gain.dimension], gain.gain, gain.rate, gain.target, gain.avoided, quotes))
    return benchmark, rows


def _action(work: Work) -> model.Action:
    scored, notes = work.scored, work.notes
    replies, customers = bool(work.roles.get("reply")), bool(work.roles.get("customer"))
    urgent_rows = np.flatnonzero(scored.escalation)
    urgency = scored.urgency[urgent_rows] + 0.1 * work.facts.complaint[urgent_rows]
    urgent = work.quotes.add("urgent", urgent_rows, urgency, URGENT)
    owners = action.owner_rows(scored, work.facts, work.quotes, replies=replies)
    if not owners:
        notes.add("no_complaints")
    repeats, total = None, 0
    if not customers:
        notes.add("no_customer")
    if not replies:
        notes.add("no_reply")
    if customers and replies:
        repeats, total = action.repeat_rows(scored, work.facts, work.quotes)
    failures: list[model.FailureRow] = []
    at_most = None
    if work.outcome_kind is not None:
        known = work.outcome[np.isfinite(work.outcome)]
        at_most = float(known.min() + (known.max() - known.min()) / 4)
        failures = action.failure_rows(scored, work.facts, work.outcome, at_most, work.service, work.quotes)
        if failures and work.outcome_kind == "overall":
            notes.add("failures_by_overall")
    silent = None
    if len(scored):
        silent = action.silent_dissatisfaction(scored, work.facts, work.service, len(scored), work.quotes)
    return model.Action(
        owners, int(work.facts.complaint.sum()), len(urgent_rows), urgent, repeats, total, failures,
        work.outcome_kind if failures else None, at_most if failures else None, silent,  # type: ignore[arg-type]
    )  # fmt: skip


def _lenses(work: Work) -> model.Lenses:
    taxonomy = work.scored.taxonomy
    shown = []
    for lens in lenses.SHOWN_LENSES:
        rows = [
            index.index_row(value, LENS_VALUES.get(value, value), value, chosen, work.sums, work.any_of(chosen))
            for value, chosen in lenses.lens_sets(taxonomy, lens, work.service)
        ]
        if rows:
            shown.append(model.Lens(lens, HEADINGS[lens], lens, rows))
    names = {value: (zh, value) for value, zh in LENS_VALUES.items()}
    return model.Lenses(shown, lenses.ledger(work.sums, taxonomy, work.service, names))


def _meta(
    read: ReadScored, ok: NDArray[np.bool_], work: Work, dates: NDArray[np.datetime64], as_of: np.datetime64 | None
) -> model.Meta:
    status = read.scored.status
    roles = read.roles
    return model.Meta(
        schema=model.SCHEMA,
        version=__version__,
        models=read.scored.models,
        lang=work.options.lang,
        inputs=[model.InputFile(*file) for file in read.files],
        rows=len(ok),
        texts=int(ok.sum()),
        empty=int((status == 1).sum()),
        not_chinese=int((status == 2).sum()),
        service_texts=int((work.scored.labels[:, work.service] >= 0).any(1).sum()),
        cinemas=len(np.unique(work.scored.cinema[work.scored.cinema >= 0])),
        first=str(dates.min()) if len(dates) else None,
        last=str(dates.max()) if len(dates) else None,
        as_of=None if as_of is None else str(as_of),
        columns=model.Columns(
            *(roles.get(role) for role in ("text", "id", "date", "cinema", "rating", "customer", "reply"))
        ),
        basis="probabilities" if read.scored.from_probabilities else "counts",
        interval_unit=work.units.kind,
        level=LEVEL,
        replicates=work.options.replicates,
        seed=work.options.seed,
    )


def _labels(taxonomy: Taxonomy) -> dict[str, model.Label]:
    values = {getattr(d, lens): None for d in taxonomy.dimensions for lens in (*lenses.SHOWN_LENSES, "ledger")}
    found = {value: model.Label(LENS_VALUES.get(value, value), value) for value in values if value}
    return found | {action.UNASSIGNED: model.Label("未归属", "unassigned")}


def _reasons(value: Any) -> set[str]:
    """The reasons of every figure and row at any depth."""
    if isinstance(value, (list, tuple, dict)):
        items = value.values() if isinstance(value, dict) else value
        return set().union(*map(_reasons, items)) if value else set()
    if not is_dataclass(value):
        return set()
    reason = getattr(value, "reason", None)
    own: set[str] = {reason} if reason else set()
    return own.union(*(_reasons(getattr(value, field.name)) for field in fields(value)))
