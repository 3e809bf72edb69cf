"""The resumable scoring job: blocks of rows become parts, parts become the output.

A block is read, deduplicated and scored on its own, so the output does not depend on where a job was interrupted.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from sentiment import __version__
from sentiment.blocks import (
    BLOCK_ROWS,
    BLOCKS,
    Block,
    BlockRules,
    Labels,
    Scorer,
    Shard,
    analyze_rows,
    blocks_of,
    rules_of,
)
from sentiment.parts import (
    PartStore,
    StoppedError,
    Summary,
    check_output,
    packed_part,
    partial_folder,
    rejects_file,
    stopping,
    sync,
    unwritable,
)
from sentiment.records import SCHEMA
from sentiment.tables.base import Reject, Table, TableError
from sentiment.tables.flat import FlatTable, Lang, Layout, flat_table
from sentiment.tables.jsonl_writer import JsonlWriter
from sentiment.tables.parquet_writer import ColumnTypes, input_cells
from sentiment.tables.remote import RemoteError
from sentiment.tables.writers import FLAT, Plan, open_writer, output_format
from sentiment.tables.xlsx_writer import MAX_ROWS, check_width
from sentiment.taxonomy import Taxonomy


class Runner(Labels, Protocol):
    """Scores blocks, here or elsewhere; they come back in any order, each with the bytes of its part."""

    def run(self, blocks: Iterator[Block], rules: BlockRules) -> Generator[tuple[Block, bytes]]: ...


class LocalRunner:
    """Scores blocks in this process, one after the other."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.name, self.hash, self.taxonomy = scorer.name, scorer.hash, scorer.taxonomy

    def run(self, blocks: Iterator[Block], rules: BlockRules) -> Generator[tuple[Block, bytes]]:
        for block in blocks:
            yield block, packed_part(*analyze_rows(block.rows, rules, self._scorer))


@dataclass(frozen=True)
class ScoreOptions:
    """How to score and write.

    `settings` is whatever else decides the result (how the input is read, thresholds); to resume, it must be the same.
    With `shard` only that shard's blocks are scored, and the output is left to a later job with `resume`.
    """

    layout: Layout = "wide"
    lang: Lang = "en"
    dimensions: tuple[str, ...] | None = None
    probabilities: bool = False
    resume: bool = False
    overwrite: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    shard: Shard | None = None
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


def plan_flat(
    table: Table, columns: Sequence[str], taxonomy: Taxonomy, options: ScoreOptions, output: Path
) -> FlatTable | None:
    """The flat output's columns, for an input with these; None where the output is not flat.

    Raises:
        TableError: the input has such columns already, or they are too many.
    """
    kind = output_format(output)[0]
    if kind not in FLAT:
        return None
    plan = flat_table(
        columns,
        taxonomy,
        text_column=table.text_column,
        layout=options.layout,
        lang=options.lang,
        dimensions=options.dimensions,
        probabilities=options.probabilities,
        overwrite=options.overwrite,
    )
    if kind == "xlsx":
        check_width(plan.headers)
    return plan


def _manifest(table: Table, labels: Labels, output: Path, options: ScoreOptions) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "blocks": BLOCKS,
        "version": __version__,  # another may read, normalise or write differently
        "input": table.fingerprint(),
        "checkpoint": {"name": labels.name, "hash": labels.hash},
        "taxonomy": labels.taxonomy.to_dict(),
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
    """Scores every row of the table into `output`, whose suffix names the format; as `score_with`, in this process."""
    return score_with(table, LocalRunner(scorer), output, options, progress)


def score_with(
    table: Table,
    runner: Runner,
    output: Path,
    options: ScoreOptions | None = None,
    progress: Callable[[Tick], None] | None = None,
) -> Summary:
    """Scores every row of the table into `output`, whose suffix names the format, wherever the runner scores.

    Finished blocks are kept under OUT.partial until the output is there, so an interrupted job can go on with `resume`.
    Rejected rows go to OUT.rejects.jsonl. A shard only adds its blocks to OUT.partial, which all shards of a job share.

    Raises:
        TableError: the input cannot be read or the output not be written; found before anything is scored, except where
            the input is damaged further on. StoppedError: the disk is full, an address can no longer be read, a
            finished block is damaged, or an internal error.
    """
    options = options or ScoreOptions()
    output = output.resolve() if output.is_symlink() else output
    check_output(output, resume=options.resume or options.shard is not None, overwrite=options.overwrite)
    for path in (output, rejects_file(output)):  # the list of an earlier run is replaced or removed
        if path.exists() and any(reader.path.samefile(path) for reader in table.readers):
            raise TableError(f"expected another output, as {path} would be replaced, found it among the input")
    plan_flat(table, table.columns, runner.taxonomy, options, output)
    store = PartStore(partial_folder(output))
    try:
        manifest = _manifest(table, runner, output, options)
    except RemoteError as error:
        reason = f"{error.strerror} ({error.filename})"
        raise StoppedError(f"stopped: {reason}; nothing was scored in this run, repeat the same command") from error
    try:
        if options.shard is not None:
            store.join(manifest)
        elif options.resume and store.begun():
            store.check(manifest)
        else:
            store.begin(manifest)
    except OSError as error:
        raise unwritable(store.folder, error) from None
    job = _Job(table, runner, output, options, store, progress or (lambda tick: None))
    with stopping(f"finished blocks are kept in {store.folder}, {_again(options)} goes on"):
        return job.run()


def _again(options: ScoreOptions) -> str:
    return "the same command with --resume" if options.shard is None else "the same command"


@dataclass
class _Job:
    table: Table
    runner: Runner
    output: Path
    options: ScoreOptions
    store: PartStore
    progress: Callable[[Tick], None]

    def run(self) -> Summary:
        started = time.monotonic()
        summary = Summary(self.runner.name, self.runner.hash, str(self.output))
        if self.options.shard is None:
            self._assemble(*self._score(summary), summary)
            self.store.remove()
        else:
            parts, _ = self._score(summary)
            self._count(range(self.options.shard.number - 1, parts, self.options.shard.count), summary)
        summary.elapsed = time.monotonic() - started
        return summary

    @property
    def _dimensions(self) -> tuple[str, ...]:
        return self.runner.taxonomy.keys if self.options.dimensions is None else self.options.dimensions

    def _score(self, summary: Summary) -> tuple[int, list[str]]:
        """Writes every part that is not there yet; returns how many there are, and all columns of the input."""
        columns = dict.fromkeys(self.table.columns)
        rules = rules_of(self.table, self._dimensions)
        parts = done = 0

        def tell() -> None:
            self.progress(Tick("score", done, summary.scored, self.table.position(), self.table.bytes_total))

        def missing() -> Generator[Block]:
            nonlocal parts, done
            for block in blocks_of(self.table, self.options.block_rows):
                parts, known = block.number + 1, len(columns)
                for row in block.rows:
                    if row.cells.keys() - columns.keys():
                        columns.update(dict.fromkeys(row.cells))  # keys that the reader's sample did not show
                if len(columns) > known:
                    self._flat(list(columns))  # what cannot be written need not be scored
                mine = self.options.shard is None or self.options.shard.has(block.number)
                if mine and self.store.rows(block.number) != len(block.rows):
                    yield block
                else:
                    done += len(block.rows)
                    tell()

        # Closed when it stops midway: the error keeps what was being read alive, and with it the open input file.
        with closing(missing()) as blocks, closing(self.runner.run(blocks, rules)) as finished:
            for block, part in finished:
                self.store.write(block.number, part, block.rejects, sources=rules.sources)
                summary.scored += len(block.rows)
                done += len(block.rows)
                tell()
        return parts, list(columns)

    def _count(self, parts: Iterable[int], summary: Summary) -> None:
        """Takes finished parts into account without writing an output."""
        for number in parts:
            block, distinct = self.store.read(number)
            summary.count(block)
            summary.texts += distinct
            summary.rejected += self.store.rejects(number).count(b"\n")

    def _assemble(self, parts: int, columns: list[str], summary: Summary) -> None:
        plan = self._plan(parts, columns)
        # Names of this run alone: a second --resume at the same time must not write into the same file.
        temporary, rejects = (self.store.folder / f"{name}-{uuid.uuid4().hex}.tmp" for name in (".out", ".rejects"))
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
            for path in (temporary, rejects):
                path.unlink(missing_ok=True)

    def _flat(self, columns: list[str]) -> FlatTable | None:
        return plan_flat(self.table, columns, self.runner.taxonomy, self.options, self.output)

    def _plan(self, parts: int, columns: list[str]) -> Plan:
        kind, packed = output_format(self.output)
        flat, types = self._flat(columns), None
        if kind == "parquet" and self.table.schema is None:
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
        TableError: the input cannot be read. StoppedError: writing failed, an address can no longer be read, or an
            internal error.
    """
    options = options or ScoreOptions()
    rules = rules_of(table, scorer.taxonomy.keys if options.dimensions is None else options.dimensions)
    started = time.monotonic()
    summary = Summary(scorer.name, scorer.hash, "-")
    with stopping("what was written so far is not the whole"), closing(blocks_of(table, options.block_rows)) as blocks:
        writer = JsonlWriter(output, probabilities=options.probabilities)
        for block in blocks:
            part, distinct = analyze_rows(block.rows, rules, scorer)
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
