"""Physical lines of a text file, decoded one by one, so that a line that does not decode spoils no other."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from sentiment.tables.encodings import Encoding, decode
from sentiment.tables.packing import Packed

LONGEST = (
    1 << 24
)  # bytes or UTF-16 characters: far beyond any review, and bounded memory for a file without line breaks
_KEPT = 1 << 16  # characters of a longer line that its reject shows
_WIDE_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_ESCAPED = re.compile("[\ud800-\udfff]")
_Text = TypeVar("_Text", str, bytes)


class Line(NamedTuple):
    """A line with its end; `problem` says why it is not sound, and `text` then shows what is there."""

    number: int
    text: str
    problem: str | None


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("cinesent_mark", _mark)


class Lines:
    """Iterates over the lines of a file; NUL bytes are dropped and counted in `nuls`."""

    def __init__(self, packed: Packed, encoding: Encoding) -> None:
        self.packed, self.encoding = packed, encoding
        self.nuls = 0

    def __iter__(self) -> Iterator[Line]:
        self.nuls = 0
        decoded = self._wide() if self.encoding.wide else self._narrow()
        for number, (text, problem) in enumerate(decoded, 1):
            if "\0" in text:
                self.nuls += text.count("\0")
                text = text.replace("\0", "")
            yield Line(number, text, problem)

    def _blocks(self) -> Iterator[bytes]:
        skip = self.encoding.bom
        for block in self.packed.blocks():
            yield block[skip:]
            skip = max(0, skip - len(block))

    def _narrow(self) -> Iterator[tuple[str, str | None]]:
        codec, label = self.encoding.codec, self.encoding.label
        for line, cut in split_lines(self._blocks(), lambda block: block.splitlines(keepends=True), b"\n", b"\r"):
            if cut:
                yield line.decode(codec, "backslashreplace"), cut
                continue
            try:
                yield decode(line, codec), None
            except UnicodeDecodeError as error:
                yield line.decode(codec, "backslashreplace"), f"not valid {label} at byte {error.start + 1} of the line"

    def _wide(self) -> Iterator[tuple[str, str | None]]:
        for line, cut in split_lines(self._decoded(), _WIDE_LINE.findall, "\n", "\r"):
            bad = _ESCAPED.search(line)
            if bad is None:
                yield line, cut
                continue
            byte = len(line[: bad.start()].encode(self.encoding.codec)) + 1
            shown = _ESCAPED.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", line)
            yield shown, cut or f"not valid {self.encoding.label} at byte {byte} of the line"

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding.codec)("cinesent_mark")
        for block in self._blocks():
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)


def split_lines(
    blocks: Iterator[_Text], split: Callable[[_Text], list[_Text]], feed: _Text, carriage: _Text
) -> Iterator[tuple[_Text, str | None]]:
    """Lines with their ends (LF, CR, CRLF) out of blocks; a line beyond `LONGEST` comes cut, with the reason."""
    nothing = feed[:0]
    pieces: list[_Text] = []
    length = 0
    skipping = False
    for block in blocks:
        if not block:
            continue
        if pieces and pieces[-1].endswith(carriage):  # held back, as a line feed might have followed
            block = pieces.pop() + block
        whole = split(block)
        last = whole.pop()
        if last.endswith(feed):
            whole.append(last)
            last = last[:0]
        for line in whole:
            if skipping:
                skipping = False
            elif pieces:
                pieces.append(line)
                yield nothing.join(pieces), None
                pieces.clear()
                length = 0
            else:
                yield line, None
        if skipping:
            pieces = [last] if last.endswith(carriage) else []
            continue
        if last:
            pieces.append(last)
            length += len(last)
        if length > LONGEST:
            yield nothing.join(pieces)[:_KEPT], f"a line of more than {LONGEST >> 20} MiB"
            skipping, length = True, 0
            pieces = [last] if last.endswith(carriage) else []
    if pieces and not skipping:
        yield nothing.join(pieces), None
