"""From files to scored columns: every layout that `cinesent score` writes; unscored tables are scored first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.report.dates import DateOrder
from sentiment.report.parquet_columns import read_parquet
from sentiment.report.roles import find_group, find_roles
from sentiment.report.scored import Builder, Scored
from sentiment.report.text_blocks import Wanted, block_of, scored_now, sound
from sentiment.tables.base import ReadOptions, TableError
from sentiment.tables.columns import choose_id_column, choose_text_column
from sentiment.tables.files import InputFile, find_files
from sentiment.tables.flat import FlatNames
from sentiment.tables.open import open_file
from sentiment.tables.reader import Reader
from sentiment.tables.scored import Kind, ScoredFile, scored_kind
from sentiment.taxonomy import Taxonomy

_RECORD = frozenset(("overall", "dimensions", "status", "intent"))


@dataclass(frozen=True)
class ReadScored:
    """What was read: the columns, what was used for what, and what to tell the user. `roles`: role → column, with
    "text" and "id"; `files`: name, rows, rejected rows, whether it was scored here."""

    scored: Scored
    roles: dict[str, str | None]
    files: list[tuple[str, int, int, bool]]
    notes: list[str]
    unread: dict[str, int]
    left_out: list[str]
    mixed: bool


@dataclass
class _Job:
    builder: Builder
    taxonomy: Taxonomy
    given: Mapping[str, str | None]
    by: str | None
    options: ReadOptions
    load: Callable[[], Any]
    roles: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    files: list[tuple[str, int, int, bool]] = field(default_factory=list)

    def use(self, roles: Mapping[str, str | None]) -> None:
        """Takes note of the columns; the first file's names are what the report shows."""
        for role, column in roles.items():
            if self.roles.get(role) is None:
                self.roles[role] = column


def read_scored(
    paths: Sequence[str | Path],
    taxonomy: Taxonomy,
    *,
    given: Mapping[str, str | None] | None = None,
    by: str | None = None,
    options: ReadOptions | None = None,
    load: Callable[[], Any] | None = None,
    date_order: DateOrder | None = None,
) -> ReadScored:
    """Reads scored files, folders of them, or `-`; scores what is not scored yet.

    Args:
        given: columns by role (date, cinema, rating, customer, reply) that the user named; the rest by name.
        by: the column whose groups are compared; "cinema" stands for the cinema column.
        options: text and id column, sheet, encoding, format, as in `score`.
        load: makes the `Analyzer` when the first unscored file is met.
        date_order: what comes first in 03/01/2026; by default a day above 12 in the same file tells.

    Raises:
        TableError: unreadable, no table, a column that is not there, or dimensions that the taxonomy does not know.
    """

    def default() -> Any:
        from sentiment.analyzer import Analyzer

        return Analyzer.load(taxonomy=taxonomy)

    job = _Job(
        Builder(taxonomy, date_order), taxonomy, dict(given or {}), by, options or ReadOptions(), load or default
    )
    for file in find_files(paths, job.notes):
        _read_file(file, job)
    builder = job.builder
    mixed = 0 < builder.without_probabilities < sum(rows for _, rows, _, _ in job.files)
    left_out = [key for key in taxonomy.keys if key in builder.unscored]
    if len(left_out) == len(taxonomy.keys):
        raise TableError("expected at least one dimension that all files were scored on, found none; score them alike")
    scored = builder.finish()
    return ReadScored(scored, job.roles, job.files, job.notes, dict(builder.unread), left_out, mixed)


def _read_file(file: InputFile, job: _Job) -> None:
    if file.path.stat().st_size == 0:
        job.notes.append(f"{file.name}: empty (0 bytes), no rows")
        job.files.append((file.name, 0, 0, False))
        return
    reader = open_file(file, job.options, job.notes)
    source = len(job.builder.files)
    job.builder.files.append(file.name)
    columns = {column for sample in reader.samples() for column in sample.columns}
    names = FlatNames(job.taxonomy)
    kind = "record" if columns >= _RECORD else scored_kind(reader, names)
    rejected = [0]
    if kind is None:
        rows = _score(reader, source, job, rejected)
    else:
        found = ScoredFile(reader, kind, job.taxonomy, names, job.options, [], need_text=False, parsed=False)
        rows = _read_scored(reader, found, kind, source, job, rejected)
    job.files.append((file.name, rows, rejected[0], kind is None))


def _read_scored(reader: Reader, found: ScoredFile, kind: Kind, source: int, job: _Job, rejected: list[int]) -> int:
    builder = job.builder
    wanted = _wanted(found.columns, found.text_column, found.id_column, job)
    if kind == "record" and reader.schema is not None:
        rows = read_parquet(reader, builder, job.taxonomy, wanted, source)
        if rows is not None:
            return rows
    if found.dimensions is not None:
        builder.unscored.update(set(job.taxonomy.keys) - set(found.dimensions))
    total = 0
    for texts in sound(found, rejected):
        builder.models.update(dict.fromkeys(text.model for text in texts if text.model))
        if kind == "record":  # with --dimensions a record has the probabilities of those only
            having = next((text.probabilities for text in texts if text.probabilities), None)
            builder.unscored.update(set() if having is None else set(job.taxonomy.keys) - set(having))
        numbers = range(total + 1, total + 1 + len(texts)) if kind == "long" else None
        builder.add(block_of(texts, job.taxonomy, wanted, source, numbers, None if kind == "record" else found))
        total += len(texts)
    return total


def _score(reader: Reader, source: int, job: _Job, rejected: list[int]) -> int:
    samples = reader.samples()
    columns = list(dict.fromkeys(column for sample in samples for column in sample.columns))
    text, _ = choose_text_column(samples, job.options.text_column, no_header=job.options.no_header)
    row_id, _ = choose_id_column(samples, job.options.id_column, text, no_header=job.options.no_header)
    wanted = _wanted(columns, text, row_id, job)
    reader.choose(text)
    job.notes.append(f"{reader.name}: not scored yet; scored now, the texts are in {text}")
    analyzer = job.load()
    job.builder.models[analyzer.name] = None
    total = 0
    for rows in sound(reader.rows(), rejected):
        job.builder.add(block_of(scored_now(rows, analyzer, text), job.taxonomy, wanted, source))
        total += len(rows)
    return total


def _wanted(columns: Sequence[str], text: str | None, row_id: str | None, job: _Job) -> Wanted:
    roles = find_roles([column for column in columns if column != text], job.given)
    if job.by is not None:
        roles["group"] = find_group(columns, roles, job.by)
    job.use({"text": text, "id": row_id, **roles})
    return Wanted(text, row_id, roles)
