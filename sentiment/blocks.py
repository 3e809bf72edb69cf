"""A block: the unit in which every engine and every shard reads, deduplicates and scores.

Which rows make a block depends on the input alone, so that a job's bytes depend neither on where it was interrupted
nor on who scored which block.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from sentiment.records import Analysis
from sentiment.tables.base import Reject, Row, Table, TableError
from sentiment.tables.parquet_writer import block_table, cell_text, jsonable
from sentiment.taxonomy import Taxonomy

BLOCK_ROWS = 4096
BLOCKS = 2  # counts the ways in which rows were cut into blocks and named: parts of another are not gone on with
_MOST_REJECTS, _MOST_CHARACTERS = 4096, 8 << 20  # of rejected rows in a block, which is held in memory


class Labels(Protocol):
    """Which checkpoint scores, and its label space."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def taxonomy(self) -> Taxonomy: ...


class Scorer(Labels, Protocol):
    """What scoring a block needs of an `Analyzer`."""

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]: ...


@dataclass
class Block:
    """Rows that are scored together, and the rejected rows among them; numbered from 0."""

    number: int
    rows: list[Row]
    rejects: list[Reject]


@dataclass(frozen=True)
class BlockRules:
    """What scoring a block needs to know of its table; `sources`: whether there are several files."""

    text_column: str
    id_column: str | None
    sources: bool
    schema: pa.Schema | None
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Shard:
    """The part `number` of `count`, counted from 1: every count-th block."""

    number: int
    count: int

    def has(self, block: int) -> bool:
        """Whether the block of this number is in the shard."""
        return block % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """A shard from `i/n`.

    Raises:
        TableError: it is none.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    shard = Shard(int(match[1]), int(match[2])) if match else None
    if shard is None or not 1 <= shard.number <= shard.count:
        raise TableError(f"expected --shard i/n with i from 1 to n, such as 3/8, found {text!r}")
    return shard


def rules_of(table: Table, dimensions: Sequence[str]) -> BlockRules:
    """The rules for a table, of which these dimensions are wanted."""
    return BlockRules(table.text_column, table.id_column, len(table.readers) > 1, table.schema, tuple(dimensions))


def blocks_of(table: Table, size: int = BLOCK_ROWS) -> Generator[Block]:
    """The input in blocks of `size` data rows; a rejected row belongs to the block that was being filled.

    Many or long rejected rows end a block before it is full; it may have no data row then.
    """
    block, characters = Block(0, [], []), 0
    for item in table:
        if isinstance(item, Reject):
            block.rejects.append(item)
            characters += len(item.raw)
        else:
            block.rows.append(item)
        full = len(block.rows) == size or len(block.rejects) == _MOST_REJECTS
        if full or characters >= _MOST_CHARACTERS:
            yield block
            block, characters = Block(block.number + 1, [], []), 0
    if block.rows or block.rejects:
        yield block


def row_text(row: Row, text_column: str) -> str:
    """The row's text; a cell that is no string is read as its `str`, an empty one, or NaN, as no text."""
    return cell_text(row.cells.get(text_column))


def _row_id(row: Row, rules: BlockRules) -> str:
    cell = None if rules.id_column is None else row.cells.get(rules.id_column)
    # Bytes that are no text are base64, as they are in the output: a replacement character would make them all alike.
    value = cell_text(jsonable(cell) if isinstance(cell, bytes) else cell)
    return value or (f"{row.source}:{row.number}" if rules.sources else str(row.number))


def analyze_rows(rows: Sequence[Row], rules: BlockRules, scorer: Scorer) -> tuple[pa.Table, int]:
    """A block's rows scored, equal texts once, and how many different texts there are."""
    texts = [row_text(row, rules.text_column) for row in rows]
    distinct = list(dict.fromkeys(texts))
    found = scorer.analyze_block(distinct) if distinct else []
    analyses = dict(zip(distinct, found, strict=True))
    ids = [_row_id(row, rules) for row in rows]
    return block_table(rows, [analyses[text] for text in texts], ids, rules.dimensions, rules.schema), len(distinct)
