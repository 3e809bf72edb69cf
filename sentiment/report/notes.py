"""What a report says about itself: what cannot be answered and why, in both languages, never a word of a review."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from sentiment.report.model import Note


@cache
def _notes() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load((files("sentiment") / "report" / "notes.yaml").read_text("utf-8"))
    return found


class Notes:
    """Collects notes of `notes.yaml`, each code once."""

    def __init__(self) -> None:
        self._found: dict[str, Note] = {}

    def add(self, code: str, **values: object) -> None:
        """Adds the note `code` with its values put in."""
        note = _notes()[code]
        shown = {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()}
        zh, en = note["zh"].format(**shown), note["en"].format(**shown)
        self._found.setdefault(code, Note(code, note["question"], note["level"], zh, en))  # type: ignore[arg-type]

    def with_reasons(self, codes: set[str]) -> list[Note]:
        """All notes, those that figures give as their reason included, in the order of the questions."""
        for code in sorted(codes):
            self.add(code)
        order = {code: place for place, code in enumerate(_notes())}
        return sorted(self._found.values(), key=lambda note: order[note.code])
