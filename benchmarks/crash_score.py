"""kill −9 in the middle of `cinesent score --resume`, many times: is the output what an uninterrupted run writes?

`benchmarks.crash` runs it and keeps the result. Kills are spread over the whole job, at a random moment of the block
that is then being scored; every fifth comes while the finished blocks are put together. What is compared is every byte
of OUT and of OUT.rejects.jsonl, and afterwards nothing else may lie beside them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sentiment.blocks import BLOCK_ROWS

ROOT = Path(__file__).parent.parent
PATIENCE = 1800.0  # seconds for one block; a busy machine is no fault
_OPENINGS = ("座椅", "音响", "票价", "停车", "前台", "厕所", "空调", "退票")
_JUDGEMENTS = ("太硬", "很好", "一般", "贵", "慢", "干净", "没人管", "不错")


def write_table(path: Path, blocks: int, seed: int = 7) -> None:
    """A CSV of so many blocks and a bit, of short texts, some of them twice, some blank, and some rows broken."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write("编号,评论\n")
        for number in range(blocks * BLOCK_ROWS + BLOCK_ROWS // 8):
            kind = rng.random()
            text = "" if kind < 0.01 else f"{rng.choice(_OPENINGS)}{rng.choice(_JUDGEMENTS)}{rng.randrange(999)}"
            stream.write(f"{number},{text},多一格\n" if kind > 0.998 else f"{number},{text}\n")


class Job:
    """One job over and over: its command line, and what it has done so far."""

    def __init__(self, source: Path, output: Path, model: Path | None) -> None:
        self.output = output
        self.parts = output.with_name(f"{output.name}.partial")
        self._command = [sys.executable, "-c", "from sentiment.cli import main; main()", "score", str(source)]
        self._command += ["-o", str(output), "--resume", *([] if model is None else ["--model", str(model)])]

    def start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self._command, cwd=self.output.parent, env=environment, stdout=quiet, stderr=quiet)

    def finish(self) -> int:
        return self.start().wait(PATIENCE)

    def done(self) -> int:
        """How many blocks are finished."""
        return len(list(self.parts.glob("part-*.parquet")))

    def outputs(self) -> set[str]:
        """What is being put together, or was when it was killed."""
        return {path.name for path in self.parts.glob(".out-*.tmp")}

    def kill(self, blocks: int | None, pause: float) -> bool:
        """Starts it and kills it `pause` seconds after so many blocks are there; None: after they are being put
        together. Whether it was still running then."""
        before = self.outputs()
        process = self.start()
        until = time.monotonic() + PATIENCE
        while process.poll() is None and not (self.outputs() - before if blocks is None else self.done() >= blocks):
            if time.monotonic() > until:
                process.kill()
                raise RuntimeError(f"expected {blocks} blocks within {PATIENCE:g} s, found {self.done()}")
            time.sleep(0.002)
        time.sleep(pause)
        process.kill()
        return process.wait() == -signal.SIGKILL


def differences(found: Path, expected: Path) -> list[str]:
    """How a folder with a finished job differs from another one."""
    names = {path.name for path in expected.iterdir()}
    wrong = [f"{path.name} was left" for path in sorted(found.iterdir()) if path.name not in names]
    for name in sorted(names):
        if not (found / name).exists():
            wrong.append(f"{name} is missing")
        elif (found / name).read_bytes() != (expected / name).read_bytes():
            wrong.append(f"{name} has other bytes")
    return wrong


def crash_score(folder: Path, kills: int, blocks: int, model: Path | None = None, seed: int = 7) -> dict[str, Any]:
    """The counts, and what was wrong (nothing, one hopes). The last fifth of the kills, at least one, come while the
    output is written."""
    rng = random.Random(seed)
    source = folder / "reviews.csv"
    write_table(source, blocks)
    places = [folder / name for name in ("uninterrupted", "killed")]
    for place in places:
        place.mkdir()
    straight, job = (Job(source, place / "scored.csv", model) for place in places)
    began = time.monotonic()
    code = straight.finish()
    block_seconds = (time.monotonic() - began) / blocks
    wrong = [] if code == 1 else [f"the uninterrupted run ended with {code}, not with 1 for some rejected rows"]
    early = kills - max(1, kills // 5)
    hit: list[str] = []
    quick = 0  # how often the output was whole before it could be killed: the next time it is killed earlier
    for attempt in range(5 * kills):
        if len(hit) == kills:
            break
        target = None if len(hit) >= early else (len(hit) + 1) * blocks // (early + 1)
        pause = rng.uniform(0, 0.05 / 2**quick if target is None else 0.8 * block_seconds)
        if not job.kill(target, pause):  # it was quicker: what it wrote is compared, and it starts anew
            wrong += [f"attempt {attempt + 1}: {what}" for what in differences(*reversed(places))]
            for path in places[1].iterdir():
                path.unlink()
            quick += 1
            continue
        hit.append("writing" if target is None else f"{job.done()} blocks")
        if job.output.exists():
            wrong.append(f"attempt {attempt + 1}: the output was there before it was whole")
        print(f"kill {len(hit)} of {kills}: {hit[-1]} done, {len(wrong)} wrong", flush=True)
    if (last := job.finish()) != code:
        wrong.append(f"the last run ended with {last}, not with {code}")
    wrong += differences(*reversed(places))
    rows = blocks * BLOCK_ROWS + BLOCK_ROWS // 8
    return {"kills": len(hit), "rows": rows, "killed_at": hit, "wrong": wrong}
