"""Puts the report together: scored columns in, the six questions answered, with a note wherever one cannot be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sentiment import __version__
from sentiment.report import action, index, model
from sentiment.report.advice import build_priorities, find_outcome
from sentiment.report.changes import build_changes, with_period_quotes
from sentiment.report.intervals import LEVEL, make_units, weights
from sentiment.report.labels import label
from sentiment.report.lenses import value_names
from sentiment.report.mention_quotes import MentionQuotes
from sentiment.report.notes import Notes
from sentiment.report.performance import build_lenses, build_performance
from sentiment.report.quotes import Quotes
from sentiment.report.read import ReadScored
from sentiment.report.reasons import add_reasons
from sentiment.report.tasks import build_action
from sentiment.report.voices import build_voices
from sentiment.report.work import ReportOptions, Work

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
    outcome, kind = find_outcome(scored, notes)
    owners: list[str | None] = [*facts.owners, None]
    quotes = Quotes(scored, [owners[code] for code in facts.owner.tolist()], facts.days)
    work = Work(
        scored, service, [d for d in range(len(taxonomy.keys)) if d not in service],
        units, weight, sums, facts, quotes, MentionQuotes(scored, quotes), notes, outcome, kind, value_names(taxonomy),
        options, read.roles, rng,
    )  # fmt: skip
    action_part = build_action(work)
    progress("index")
    performance = build_performance(work)
    progress("priorities")
    priority = build_priorities(work, performance)
    progress("changes")
    changes = build_changes(work, None if before is None else before.scored)
    lens_part = build_lenses(work)
    progress("voices")
    voices = build_voices(work)
    changes = with_period_quotes(work, changes)  # last: what is left of the budget for texts
    meta = _meta(read, ok, work, dates, as_of)
    infos = [
        model.DimensionInfo(
            d.key, d.zh, d.en, i in service, d.group, d.stage, d.form, d.quality, d.ledger, d.servqual, d.owner
        )
        for i, d in enumerate(taxonomy.dimensions)
    ]
    names = work.names | {action.UNASSIGNED: model.Label(label("unassigned", "zh"), label("unassigned", "en"))}
    report = model.Report(meta, infos, names, [], performance, priority, changes, action_part, lens_part, voices)
    return add_reasons(report, notes)


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
    if read.unread.get("date_order"):
        notes.add("date_order", n=read.unread["date_order"])
    if read.roles.get("text") is None:
        notes.add("no_text")


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
