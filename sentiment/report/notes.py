"""What a report says about itself: what cannot be answered and why, in both languages, never a word of a review."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from sentiment.report.model import Label, Note, Question


@cache
def _notes() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load((files("sentiment") / "report" / "notes.yaml").read_text("utf-8"))
    return found


def reason(code: str) -> Label:
    """The words for a reason that a figure gives, without what it speaks of."""
    note = _notes()[code]
    return Label(note["zh"], note["en"])


def reason_note(code: str, question: Question, about: Label) -> Note:
    """The note on a reason that figures of `question` give; `about` names them."""
    note = _notes()[code]
    zh, en = note["zh"].rstrip("。"), note["en"].rstrip(".")
    return Note(code, question, note["level"], f"{zh}（{about.zh}）。", f"{en} ({about.en}).")  # type: ignore[arg-type]


def ordered(notes: list[Note]) -> list[Note]:
    """In the order of notes.yaml, then of questions as they were found."""
    order = {code: place for place, code in enumerate(_notes())}
    return sorted(notes, key=lambda note: order[note.code])


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

    def found(self) -> list[Note]:
        """The notes added so far."""
        return list(self._found.values())
