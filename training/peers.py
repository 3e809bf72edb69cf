"""Other programs asked for their answers, each in an environment of its own: `benchmarks/peers/runner.py`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentiment.text import normalise
from training.example import Example


class PeerError(RuntimeError):
    """A peer that cannot be asked; the message says what was expected and what was found, and quotes no text."""


@dataclass(frozen=True)
class Peers:
    """The Python of the peers' environment, and the program that speaks with them."""

    python: Path | None
    runner: Path

    def versions(self, peer: str) -> dict[str, str]:
        """What of the peer is installed.

        Raises:
            PeerError: no such Python, or it lacks the peer.
        """
        (found,) = self._run([peer, "--versions"], b"")
        return dict(found)

    def scores(self, peer: str, texts: Sequence[str]) -> list[float | None]:
        """A number a text, higher is more positive; None where the peer failed on it. Texts are normalised first."""
        rows = [{"text": normalise(text).text} for text in texts]
        return [entry["score"] for entry in self._ask([peer], rows, len(texts))]

    def seconds(self, peer: str, texts: Sequence[str]) -> float:
        """Seconds that a peer of scores takes for the texts, normalised first; its start does not count."""
        rows = [{"text": normalise(text).text} for text in texts]
        (found,) = self._ask([peer, "--seconds"], rows, 1)
        if found["texts"] != len(texts):
            raise PeerError(f"expected {len(texts)} texts timed by {peer}, found {found['texts']}")
        return float(found["seconds"])

    def labels(self, peer: str, training: Sequence[Example], texts: Sequence[str], options: Sequence[str]) -> list[str]:
        """A label a text by a peer that first learns `overall` of the training texts; all are normalised first."""
        rows = [{"text": normalise(example.text).text, "label": str(example.overall)} for example in training]
        rows += [{"text": normalise(text).text} for text in texts]
        return [entry["label"] for entry in self._ask([peer, *options], rows, len(texts))]

    def _ask(self, arguments: Sequence[str], rows: Sequence[dict[str, str]], wanted: int) -> list[dict[str, Any]]:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        answers = self._run(arguments, lines.encode("utf-8", "replace"))
        if len(answers) != wanted:
            raise PeerError(f"expected {wanted} answers of {arguments[0]}, found {len(answers)}")
        return answers

    def _run(self, arguments: Sequence[str], data: bytes) -> list[dict[str, Any]]:
        if self.python is None or not self.python.is_file():
            found = "none was given" if self.python is None else f"no file {self.python}"
            raise PeerError(f"expected the Python of the peers' environment in --peers-python, {found}")
        command = [str(self.python), str(self.runner), *arguments]
        done = subprocess.run(command, input=data, capture_output=True)
        if done.returncode:
            # Only the last line, and only its beginning: an exception may quote what it was about.
            last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing"])[-1]
            kind = last if done.returncode == 3 else last.partition(":")[0][:80]
            raise PeerError(f"{arguments[0]} ended with exit code {done.returncode}: {kind}")
        return [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
