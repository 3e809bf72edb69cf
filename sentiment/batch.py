"""The resumable scoring job: blocks of rows become parts, parts become the output.

A block is read, deduplicated and scored on its own, so the output does not depend on where a job was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import pyarrow as pa

from sentiment.parts import PartStore, Summary, check_output, partial_folder, rejects_file, stopping, sync
from sentiment.records import SCHEMA, Analysis
from sentiment.tables.base import Reject, Row, Table, TableError
from sentiment.tables.flat import FlatTable, Lang, Layout, flat_table
from sentiment.tables.jsonl_writer import JsonlWriter
from sentiment.tables.parquet_writer import ColumnTypes, block_table, input_cells, valid
from sentiment.tables.writers import FLAT, Plan, open_writer, output_format
from sentiment.tables.xlsx_writer import MAX_ROWS
from sentiment.taxonomy import Taxonomy

BLOCK_ROWS = 4096


class Scorer(Protocol):
    """What the job needs of an `Analyzer`."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def taxonomy(self) -> Taxonomy: ...
    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]: ...


@dataclass(frozen=True)
class ScoreOptions:
    """How to score and write.

    `settings` is whatever else decides the result (how the input is read, thresholds); to resume, it must be the same.
    """

    layout: Layout = "wide"
    lang: Lang = "en"
    dimensions: tuple[str, ...] | None = None
    probabilities: bool = False
    resume: bool = False
    overwrite: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    block_rows: int = BLOCK_ROWS
    xlsx_rows: int = MAX_ROWS


@dataclass(frozen=True)
class Tick:
    """Progress: `rows` are done, `scored` of them in this run, having read `position` of `size` bytes."""

    phase: Literal["score", "write"]
    rows: int
    scored: int
    position: int
    size: int


@dataclass
class _Block:
    number: int
    rows: list[Row]
    rejects: list[Reject]


def _blocks(table: Table, size: int) -> Iterator[_Block]:
    """The input in blocks of `size` data rows; a rejected row belongs to the block that was being filled."""
    block = _Block(0, [], [])
    for item in table:
        if isinstance(item, Reject):
            block.rejects.append(item)
            continue
        block.rows.append(item)
        if len(block.rows) == size:
            yield block
            block = _Block(block.number + 1, [], [])
    if block.rows or block.rejects:
        yield block


def row_text(row: Row, table: Table) -> str:
    """The row's text; a cell that is no string is read as its `str`, an empty one as no text."""
    value = row.cells.get(table.text_column)
    if value is None:
        return ""
    return valid(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def _row_id(row: Row, table: Table) -> str:
    value = None if table.id_column is None else row.cells.get(table.id_column)
    if value is not None and value != "":
        return str(value)
    return f"{row.source}:{row.number}" if len(table.readers) > 1 else str(row.number)


def _analyze(block: _Block, table: Table, scorer: Scorer, dimensions: Sequence[str]) -> tuple[pa.Table, int]:
    """The block scored, equal texts once, and how many different texts it has."""
    texts = [row_text(row, table) for row in block.rows]
    distinct = list(dict.fromkeys(texts))
    found = scorer.analyze_block(distinct) if distinct else []
    analyses = dict(zip(distinct, found, strict=True))
    ids = [_row_id(row, table) for row in block.rows]
    return block_table(block.rows, [analyses[text] for text in texts], ids, dimensions, table.schema), len(distinct)


def plan_flat(table: Table, columns: Sequence[str], taxonomy: Taxonomy, options: ScoreOptions) -> FlatTable:
    """The flat output's columns, for an input with these.

    Raises:
        TableError: the input has such columns already.
    """
    return flat_table(
        columns,
        taxonomy,
        text_column=table.text_column,
        layout=options.layout,
        lang=options.lang,
        dimensions=options.dimensions,
        probabilities=options.probabilities,
        overwrite=options.overwrite,
    )


def _manifest(table: Table, scorer: Scorer, output: Path, options: ScoreOptions) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "input": table.fingerprint(),
        "checkpoint": {"name": scorer.name, "hash": scorer.hash},
        "taxonomy": scorer.taxonomy.to_dict(),
        "options": {
            "output": output.name,
            "layout": options.layout,
            "lang": options.lang,
            "dimensions": None if options.dimensions is None else list(options.dimensions),
            "probabilities": options.probabilities,
            "text_column": table.text_column,
            "id_column": table.id_column,
            "limit": table.limit,
            "block_rows": options.block_rows,
            **options.settings,
        },
    }


def score(
    table: Table,
    scorer: Scorer,
    output: Path,
    options: ScoreOptions | None = None,
    progress: Callable[[Tick], None] | None = None,
) -> Summary:
    """Scores every row of the table into `output`, whose suffix names the format.

    Finished blocks are kept under OUT.partial until the output is there, so an interrupted job can go on with `resume`.
    Rejected rows go to OUT.rejects.jsonl.

    Raises:
        TableError: the input cannot be read or the output not be written; found before anything is scored, except where
            the input breaks midway. StoppedError: the disk is full, or an internal error.
    """
    options = options or ScoreOptions()
    output = output.resolve() if output.is_symlink() else output
    check_output(output, resume=options.resume, overwrite=options.overwrite)
    if output_format(output)[0] in FLAT:
        plan_flat(table, table.columns, scorer.taxonomy, options)
    store = PartStore(partial_folder(output))
    manifest = _manifest(table, scorer, output, options)
    try:
        if options.resume and store.folder.exists():
            store.check(manifest)
        else:
            store.begin(manifest)
    except OSError as error:
        raise TableError(f"cannot write {store.folder}: {error.strerror or type(error).__name__}") from None
    job = _Job(table, scorer, output, options, store, progress or (lambda tick: None))
    with stopping(f"finished blocks are kept in {store.folder}, the same command with --resume goes on"):
        return job.run()


@dataclass
class _Job:
    table: Table
    scorer: Scorer
    output: Path
    options: ScoreOptions
    store: PartStore
    progress: Callable[[Tick], None]

    def run(self) -> Summary:
        started = time.monotonic()
        summary = Summary(self.scorer.name, self.scorer.hash, str(self.output))
        parts, columns = self._score(summary)
        self._assemble(parts, columns, summary)
        self.store.remove()
        summary.elapsed = time.monotonic() - started
        return summary

    @property
    def _dimensions(self) -> tuple[str, ...]:
        return self.scorer.taxonomy.keys if self.options.dimensions is None else self.options.dimensions

    def _score(self, summary: Summary) -> tuple[int, list[str]]:
        """Writes every part that is not there yet; returns how many there are, and all columns of the input."""
        columns = dict.fromkeys(self.table.columns)
        parts = rows = 0
        sources = len(self.table.readers) > 1
        for block in _blocks(self.table, self.options.block_rows):
            parts = block.number + 1
            rows += len(block.rows)
            for row in block.rows:
                if row.cells.keys() - columns.keys():
                    columns |= dict.fromkeys(row.cells)  # keys of JSON objects that the reader's sample did not show
            if self.store.rows(block.number) != len(block.rows):
                part, distinct = _analyze(block, self.table, self.scorer, self._dimensions)
                self.store.write(block.number, part, block.rejects, distinct=distinct, sources=sources)
                summary.scored += len(block.rows)
            self.progress(Tick("score", rows, summary.scored, self.table.position(), self.table.bytes_total))
        return parts, list(columns)

    def _assemble(self, parts: int, columns: list[str], summary: Summary) -> None:
        plan = self._plan(parts, columns)
        temporary = self.output.with_name(f".{self.output.name}.tmp")
        rejects = self.store.folder / "rejects.jsonl"
        try:
            with temporary.open("wb") as handle:
                with open_writer(handle, plan, self.store.folder) as writer:
                    for number in range(parts):
                        block, distinct = self.store.read(number)
                        writer.write(block)
                        summary.count(block)
                        summary.texts += distinct
                        self.progress(Tick("write", summary.rows, summary.scored, number + 1, parts))
                summary.cut = writer.cut
                sync(handle)
            with rejects.open("wb") as handle:
                for number in range(parts):
                    lines = self.store.rejects(number)
                    summary.rejected += lines.count(b"\n")
                    handle.write(lines)
                sync(handle)
            if summary.rejected:
                rejects.replace(rejects_file(self.output))
                summary.rejects = str(rejects_file(self.output))
            else:
                rejects_file(self.output).unlink(missing_ok=True)  # of an earlier run
            temporary.replace(self.output)
        finally:
            temporary.unlink(missing_ok=True)

    def _plan(self, parts: int, columns: list[str]) -> Plan:
        kind, packed = output_format(self.output)
        flat = types = None
        if kind in FLAT:
            flat = plan_flat(self.table, columns, self.scorer.taxonomy, self.options)
        elif kind == "parquet" and self.table.schema is None:
            types = ColumnTypes(self.table.columns)
            for number in range(parts):
                for cells in input_cells(self.store.read(number)[0]["input"]):
                    types.add(cells)
        options = self.options
        return Plan(
            kind, packed, self._dimensions, options.probabilities, flat, self.table.schema, types, options.xlsx_rows
        )


def stream(
    table: Table,
    scorer: Scorer,
    output: IO[bytes],
    options: ScoreOptions | None = None,
    progress: Callable[[Tick], None] | None = None,
    rejected: Callable[[Reject], None] | None = None,
) -> Summary:
    """Scores every row of the table as JSON Lines into a stream, block by block; `rejected` hears of rejected rows.

    Raises:
        TableError: the input cannot be read. StoppedError: writing failed, or an internal error.
    """
    options = options or ScoreOptions()
    dimensions = scorer.taxonomy.keys if options.dimensions is None else options.dimensions
    started = time.monotonic()
    summary = Summary(scorer.name, scorer.hash, "-")
    with stopping("what was written so far is not the whole"):
        writer = JsonlWriter(output, probabilities=options.probabilities)
        for block in _blocks(table, options.block_rows):
            part, distinct = _analyze(block, table, scorer, dimensions)
            writer.write(part)
            output.flush()
            for reject in block.rejects:
                if rejected:
                    rejected(reject)
            summary.count(part)
            summary.texts += distinct
            summary.scored += len(block.rows)
            summary.rejected += len(block.rejects)
            if progress:
                progress(Tick("score", summary.rows, summary.scored, table.position(), table.bytes_total))
        writer.close()
    summary.elapsed = time.monotonic() - started
    return summary
