"""From files to scored columns: every layout that `cinesent score` writes; unscored tables are scored first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.report.flat_rows import FlatRows
from sentiment.report.parquet_columns import read_parquet
from sentiment.report.record_rows import BLOCK, Wanted, record_blocks, scored_blocks
from sentiment.report.roles import find_group, find_roles
from sentiment.report.scored import Builder, Scored
from sentiment.tables.base import ReadOptions, Reject, Row, TableError
from sentiment.tables.columns import choose_id_column, choose_text_column
from sentiment.tables.files import InputFile, find_files
from sentiment.tables.flat import FlatNames
from sentiment.tables.open import open_file
from sentiment.tables.reader import Reader, Sample
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
) -> ReadScored:
    """Reads scored files, folders of them, or `-`; scores what is not scored yet.

    Args:
        given: columns by role (date, cinema, rating, customer, reply) that the user named; the rest by name.
        by: the column whose groups are compared; "cinema" stands for the cinema column.
        options: text and id column, sheet, encoding, format, as in `score`.
        load: makes the `Analyzer` when the first unscored file is met.

    Raises:
        TableError: unreadable, no table, a column that is not there, or dimensions that the taxonomy does not know.
    """

    def default() -> Any:
        from sentiment.analyzer import Analyzer

        return Analyzer.load(taxonomy=taxonomy)

    job = _Job(Builder(taxonomy), taxonomy, dict(given or {}), by, options or ReadOptions(), load or default)
    for file in find_files(paths, job.notes):
        _read_file(file, job)
    builder = job.builder
    mixed = 0 < builder.without_probabilities < sum(rows for _, rows, _, _ in job.files)
    left_out = [key for key in taxonomy.keys if key in builder.unscored]
    unread = dict(builder.unread)
    if len(left_out) == len(taxonomy.keys):
        raise TableError("expected at least one dimension that all files were scored on, found none; score them alike")
    return ReadScored(builder.finish(), job.roles, job.files, job.notes, unread, left_out, mixed)


def _read_file(file: InputFile, job: _Job) -> None:
    if file.path.stat().st_size == 0:
        job.notes.append(f"{file.name}: empty (0 bytes), no rows")
        job.files.append((file.name, 0, 0, False))
        return
    reader = open_file(file, job.options, job.notes)
    source = len(job.builder.files)
    job.builder.files.append(file.name)
    columns = list(dict.fromkeys(column for sample in reader.samples() for column in sample.columns))
    names = FlatNames(job.taxonomy)
    rejected = [0]
    if set(columns) >= _RECORD:
        rows = _read_records(reader, columns, source, job, rejected)
        job.files.append((file.name, rows, rejected[0], False))
        return
    flat = {name: column for column in columns if (name := names.name(column)) is not None}
    own = [column for column in columns if column not in flat.values()]
    if "cs_status" in flat and "cs_overall" in flat:
        text, row_id = _text_and_id(reader, own, job)
        wanted = _wanted(own, text, row_id, job)
        reader.choose(text if text is not None else flat["cs_status"])
        blocks = FlatRows(job.taxonomy, names, flat, wanted, source, job.builder).blocks(_rows(reader, rejected))
        scored_here = False
    else:
        samples = reader.samples()
        text, _ = choose_text_column(samples, job.options.text_column, no_header=job.options.no_header)
        row_id, _ = choose_id_column(samples, job.options.id_column, text, no_header=job.options.no_header)
        wanted = _wanted(columns, text, row_id, job)
        reader.choose(text)
        job.notes.append(f"{file.name}: not scored yet; scored now, the texts are in {text}")
        analyzer = job.load()
        job.builder.models[analyzer.name] = None
        blocks = scored_blocks(_rows(reader, rejected), analyzer, job.taxonomy, wanted, source)
        scored_here = True
    rows = 0
    for block in blocks:
        job.builder.add(block)
        rows += len(block.rows)
    job.files.append((file.name, rows, rejected[0], scored_here))


def _read_records(reader: Reader, columns: list[str], source: int, job: _Job, rejected: list[int]) -> int:
    own = _input_columns(reader)
    text, row_id = _text_and_id(reader, own, job, inside="input")
    wanted = _wanted(own, text, row_id, job)
    if reader.schema is not None and "input" in columns:
        found = read_parquet(reader, job.builder, job.taxonomy, wanted, source)
        if found is not None:
            return found
    rows = 0
    for block in record_blocks(_rows(reader, rejected), job.builder, job.taxonomy, wanted, source):
        job.builder.add(block)
        rows += len(block.rows)
    return rows


def _input_columns(reader: Reader) -> list[str]:
    if reader.schema is not None:
        index = reader.schema.get_field_index("input")
        kind = None if index < 0 else reader.schema.field(index).type
        if kind is not None and hasattr(kind, "num_fields"):
            return [kind.field(i).name for i in range(kind.num_fields)]
    names: dict[str, None] = {}
    for sample in reader.samples():
        for row in sample.rows:
            if isinstance(row.get("input"), dict):
                names.update(dict.fromkeys(row["input"]))
    return list(names)


def _text_and_id(
    reader: Reader, own: Sequence[str], job: _Job, inside: str | None = None
) -> tuple[str | None, str | None]:
    """The text column among the input's own; None where there is none (a report without quotations)."""
    samples = []
    for sample in reader.samples():
        rows = [row.get(inside) or {} for row in sample.rows] if inside else sample.rows
        kept = [column for column in own if inside or column in sample.columns]
        samples.append(Sample(sample.file, sample.place, kept, [r for r in rows if isinstance(r, dict)]))
    samples = [sample for sample in samples if sample.columns] or samples
    no_header = job.options.no_header
    try:
        text, _ = choose_text_column(samples, job.options.text_column, no_header=no_header)
    except TableError:
        if job.options.text_column is not None:
            raise
        return None, None
    row_id, _ = choose_id_column(samples, job.options.id_column, text, no_header=no_header)
    return text, row_id


def _wanted(columns: Sequence[str], text: str | None, row_id: str | None, job: _Job) -> Wanted:
    roles = find_roles([column for column in columns if column != text], job.given)
    if job.by is not None:
        roles["group"] = find_group(columns, roles, job.by)
    job.use({"text": text, "id": row_id, **roles})
    return Wanted(text, row_id, roles)


def _rows(reader: Reader, rejected: list[int]) -> Iterator[list[Row]]:
    """The sound rows in blocks; counts the others."""
    block: list[Row] = []
    for item in reader.rows():
        if isinstance(item, Reject):
            rejected[0] += 1
            continue
        block.append(item)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block
