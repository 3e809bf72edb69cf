"""What the readers of all formats have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.tables.base import Reject, Row
from sentiment.tables.packing import Packed

if TYPE_CHECKING:
    import pyarrow

    from sentiment.tables.remote import RemotePath

SAMPLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file or, in a workbook, of a sheet: what the text column is chosen from."""

    file: str
    place: str
    columns: list[str]
    rows: list[dict[str, Any]]


class Reader(ABC):
    """One file, looked at: its columns and a sample are known, its rows are read when asked for.

    `notes` is the table's own list, to which reading may add.
    """

    def __init__(self, packed: Packed, notes: list[str]) -> None:
        self.packed, self.notes = packed, notes
        self.columns: list[str] = []
        self.sample: list[dict[str, Any]] = []
        self.size: int | None = None
        self.schema: pyarrow.Schema | None = None

    @property
    def name(self) -> str:
        return self.packed.file.name

    @property
    def path(self) -> Path | RemotePath:
        return self.packed.file.path

    def samples(self) -> list[Sample]:
        return [Sample(self.name, self.name, self.columns, self.sample)]

    def choose(self, text_column: str) -> None:
        """Takes note of the text column: a workbook then knows which sheets to read."""
        self.sample = []

    @abstractmethod
    def rows(self) -> Iterator[Row | Reject]: ...

    def position(self) -> int:
        return self.packed.position()

    def note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
