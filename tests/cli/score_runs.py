"""Runs of `cinesent` with a stand-in for the analyser."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import openpyxl
import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from sentiment.blocks import BLOCK_ROWS
from sentiment.cli import main

# A stand-in for sentiment.analyzer, for this process and for those that the tests start.
FAKE = """
import hashlib, os, time
from sentiment.records import Analysis, Mention
from sentiment.taxonomy import load_taxonomy

class CheckpointError(ValueError):
    pass

class Analyzer:
    name, hash = "fake@00000000", "00000000"
    calls = []
    blocks = 0
    error = None

    def __init__(self, taxonomy):
        self.taxonomy = taxonomy

    @classmethod
    def load(cls, path=None, **options):
        cls.calls.append((path, options))
        if path is not None and not (path / "config.json").exists():
            raise CheckpointError(f"expected a checkpoint, found none in {path}")
        own = load_taxonomy()
        return cls(own if options.get("taxonomy") is None else own.with_names_of(options["taxonomy"]))

    def analyze_block(self, texts, ids=None):
        if self.error is not None:
            raise self.error
        type(self).blocks += 1
        if os.environ.get("FAKE_WAIT") == str(self.blocks):
            print("waiting", flush=True)
            time.sleep(60)
        return [self.one(text) for text in texts]

    def one(self, text):
        if not text.strip():
            return Analysis(self.name, None, "empty", "other")
        at = text.find("座")
        found = () if at < 0 else (Mention("seating", "negative", 0.9, "座", at, at + 1, "工程"),)
        return Analysis(self.name, None, "ok", "hans", "negative", 0.9, "complaint", 0.8, False, 0.7, dimensions=found,
                        probabilities={key: (0.5, 0.25, 0.125) for key in self.taxonomy.keys})
"""
ROWS = "评论内容,影院\n座位太挤了，看完腰疼,万达\n环境还可以吧，下次再来,=1+1\n,金逸\n座位太挤了，看完腰疼,中影\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_line(result: Result, code: int, told: str) -> None:
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if told in line]
    assert line.startswith("cinesent: ")
    assert result.stderr.splitlines()[-1] == line


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of a scored file of any format, by their headers."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if path.suffix == ".xlsx":
        head, *rows = openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)
        return [dict(zip(head, row, strict=True)) for row in rows]
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter="\t" if ".tsv" in path.name else ","))


def start(
    tmp_path: Path,
    *arguments: object,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    block_rows: int = BLOCK_ROWS,
    **environment: str,
) -> subprocess.Popen[bytes]:
    """The command in a process of its own; with FAKE_WAIT=N it says `waiting` at its N-th block, and waits there."""
    code = (
        "import sys, types\n"
        "module = types.ModuleType('sentiment.analyzer')\n"
        f"exec({FAKE!r}, module.__dict__)\n"
        "sys.modules['sentiment.analyzer'] = module\n"
        "import sentiment.blocks\n"
        f"sentiment.blocks.BLOCK_ROWS = {block_rows}\n"
        "from sentiment.cli import main\n"
        "main()\n"
    )
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, **environment},
        stdout=stdout,
        stderr=stderr,
        # A shell lets its background jobs ignore SIGINT, and what they start inherits that.
        preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
