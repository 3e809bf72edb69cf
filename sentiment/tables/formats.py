"""What a file is, by its content: the suffix is only compared with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sentiment.tables.base import TableError
from sentiment.tables.packing import check_zip

# Beginnings of files that people mistake for tables, and what to do about each.
_SAVE = "save it as .xlsx or CSV"
_KNOWN: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", "export the table itself as .xlsx or CSV"),
    (b"\x89PNG", "an image (PNG)", "give the table as .xlsx or CSV"),
    (b"\xff\xd8\xff", "an image (JPEG)", "give the table as .xlsx or CSV"),
    (b"GIF8", "an image (GIF)", "give the table as .xlsx or CSV"),
    (b"II*\x00", "an image (TIFF)", "give the table as .xlsx or CSV"),
    (b"MM\x00*", "an image (TIFF)", "give the table as .xlsx or CSV"),
    (b"RIFF", "an image, sound or film (RIFF)", "give the table as .xlsx or CSV"),
    (b"{\\rtf", "a text document (RTF)", _SAVE),
    (b"PARE", "an encrypted Parquet file", "decrypt it first"),
    (b"ARROW1", "an Arrow (Feather) file", "convert it to Parquet"),
    (b"FEA1", "a Feather file", "convert it to Parquet"),
    (b"ORC", "an ORC file", "convert it to Parquet"),
    (b"Obj\x01", "an Avro file", "convert it to Parquet"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"BZh", "a bzip2 file", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it first"),
    (b"\x1f\x8b", "another .gz inside", "unpack it first"),
    (b"\xfd7zXZ\x00", "another .xz inside", "unpack it first"),
    (b"\x7fELF", "a program", "check the path"),
    (b"MZ\x90", "a program", "check the path"),
)
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARKUP = re.compile(rb"\s*<(\?xml|!doctype|html|table|meta|head|style)", re.IGNORECASE)
_CONTROL = bytes(range(1, 9)) + bytes(range(14, 27)) + bytes(range(28, 32))


def binary_format(head: bytes, name: str, plain: Callable[[], Path]) -> str | None:
    """`xlsx` or `parquet` by magic bytes, None for text; `plain` gives an unpacked file, to look deeper.

    Raises:
        TableError: it is something else that is no table.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return _zipped(name, plain())
    if head.startswith(_OLD_OFFICE):
        if _is_encrypted(plain()):
            raise TableError(
                f"expected an open workbook, found {name} protected by a password; "
                "remove the password and save it again"
            )
        raise TableError(
            f"expected a table, found {name} is an old .xls workbook (or another old Office file); {_SAVE}"
        )
    for magic, what, todo in _KNOWN:
        # A table may begin with the same letters (PARENT_ID, ORCID), but not with control characters soon after.
        if head.startswith(magic) and not (magic.isalnum() and _has_no_controls(head[:256])):
            raise TableError(f"expected CSV, TSV, XLSX, JSONL or Parquet, found {name} is {what}; {todo}")
    if _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise TableError(f"expected a table, found {name} is HTML or XML; open it in a spreadsheet and {_SAVE}")
    return None


def _has_no_controls(head: bytes) -> bool:
    return len(head.translate(None, _CONTROL + b"\0")) == len(head)


def refuse_binary(sample: bytes, name: str) -> None:
    """Refuses what is no text in a one-byte-compatible encoding.

    Raises:
        TableError: too many control characters.
    """
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    nuls = sample.count(0)
    if controls * 50 > len(sample) or nuls * 5 > len(sample):
        raise TableError(
            f"expected CSV, TSV, XLSX, JSONL or Parquet, found {name} is a binary file of another kind; {_SAVE}"
        )


def _zipped(name: str, path: Path) -> str:
    if "xl/workbook.xml" not in {member.filename for member in check_zip(path, name, "zip")}:
        raise TableError(f"expected a table, found {name} holds another archive; unpack it first")
    return "xlsx"


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            if "EncryptedPackage".encode("utf-16-le") in block:
                return True
    return False


def text_format(first: str, looks_like_json: bool, suffix: str | None) -> str:
    """`jsonl`, `json` (an array) or `csv` from the first line that is not blank."""
    start = first.lstrip()
    if re.match(r"\[\s*(\{|\]|$)", start):
        return "json"
    if start.startswith("{") and (looks_like_json or suffix not in ("csv", "tsv")):
        return "jsonl"
    return "csv"


def suffix_note(name: str, promised: str | None, found: str) -> str | None:
    """What to say where suffix and content disagree."""
    family = {"json": "jsonl", "tsv": "csv"}
    if promised is None or family.get(promised, promised) == family.get(found, found):
        return None
    return f"{name}: {found.upper()} by its content, not {promised.upper()} as its suffix says; read as {found.upper()}"
