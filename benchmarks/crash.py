"""kill −9 in the middle of writing corrections, many times: is the database whole, and is all there that was confirmed?
And in the middle of `cinesent score --resume`: `benchmarks.crash_score`.

    python -m benchmarks.crash                      # SQLite in a temporary folder, 20 kills of each kind
    python -m benchmarks.crash --only feedback --database postgresql://user@host/name --kills 5
    python -m benchmarks.crash --only score --blocks 20

Two processes write corrections; each says so on its standard output after the commit. After a random number of them,
and a moment, both are killed. Then every confirmed correction has to be there, none twice, none torn, and SQLite's own
check has to find nothing. The database is kept from one kill to the next. With PostgreSQL the clients are killed, not
the server. Writes the result to benchmarks/results/crash.json, and leaves the part there that was not run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.crash_score import crash_score
from serve.rows import Feedback, now
from serve.store import Store, migrate, read_feedback

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "crash.json"
WRITERS = 2


def write_corrections(url: str, writer: str) -> None:
    """Until it is killed; texts of 20 to 20,000 characters, so that rows fill parts of pages and many of them."""
    store = Store(url)
    rng = random.Random(writer)
    number = 0
    print("begins", flush=True)
    while True:
        text = f"{writer} {number} " + "座椅太硬" * rng.choice((5, 50, 500, 5000))
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        after = {"overall": "negative", "writer": writer, "number": number}
        with store.write() as session:
            session.add(Feedback(sha256=sha256, text=text.encode(), before={}, after=after, by=writer, at=now()))
        print(number, flush=True)
        number += 1


def _kill_once(url: str, run: int, rng: random.Random) -> dict[str, int]:
    """Lets the writers write, kills them; how many corrections of each were confirmed."""
    processes = {}
    for number in range(WRITERS):
        name = f"{run}-{number}"
        command = [sys.executable, "-m", "benchmarks.crash", "--database", url, "--writer", name]
        processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for process in processes.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
    confirmed = dict.fromkeys(processes, 0)
    watched = next(iter(processes))
    for _ in range(rng.randint(1, 40)):
        assert processes[watched].stdout.readline().endswith("\n")  # type: ignore[union-attr]
        confirmed[watched] += 1
    time.sleep(rng.uniform(0, 0.1))
    for process in processes.values():
        process.kill()
    for name, process in processes.items():
        confirmed[name] += process.communicate()[0].count("\n")
    return confirmed


def check(url: str, confirmed: dict[str, int]) -> list[str]:
    """What is wrong; at most one correction of a writer may be there that it could not confirm any more."""
    found: dict[str, list[int]] = {}
    wrong = []
    for row in read_feedback(url):
        if hashlib.sha256(row["text"].encode()).hexdigest() != row["sha256"]:
            wrong.append(f"correction {row['id']} is torn")
        found.setdefault(row["by"], []).append(row["after"]["number"])
    for name, count in confirmed.items():
        numbers = found.get(name, [])
        if numbers != list(range(len(numbers))) or not count <= len(numbers) <= count + 1:
            wrong.append(f"writer {name} confirmed {count}, and {len(numbers)} are there")
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        if said != ["ok"]:
            wrong.append(f"SQLite's check: {said[:3]}")
    return wrong


def crash(url: str, kills: int, seed: int = 7) -> dict[str, Any]:
    """The counts, and what was wrong after each kill (nothing, one hopes)."""
    migrate(url)
    rng = random.Random(seed)
    confirmed: dict[str, int] = {}
    wrong = []
    for run in range(kills):
        confirmed |= _kill_once(url, run, rng)
        wrong += [f"kill {run + 1}: {what}" for what in check(url, confirmed)]
        print(f"kill {run + 1} of {kills}: {sum(confirmed.values())} confirmed, {len(wrong)} wrong", flush=True)
    return {"kills": kills, "writers": WRITERS, "confirmed": sum(confirmed.values()), "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", choices=["feedback", "score"], help="default: both")
    parser.add_argument("--blocks", type=int, default=20, help="of 4,096 rows, in the file that is scored")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--writer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        write_corrections(options.database, options.writer)
    results = json.loads(options.output.read_text("utf-8")) if options.output.exists() else {}
    ran = ["feedback", "score"] if options.only is None else [options.only]
    for part in ran:
        with tempfile.TemporaryDirectory() as folder:
            if part == "feedback":
                url = options.database or f"sqlite:///{folder}/cinesent.sqlite"
                found = {"database": url.partition(":")[0], **crash(url, options.kills)}
            else:
                found = crash_score(Path(folder), options.kills, options.blocks)
        results[part] = {"date": date.today().isoformat(), "python": platform.python_version(), **found}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(results, ensure_ascii=False))
    failed = [part for part in ran if results[part]["wrong"] or results[part]["kills"] < options.kills]
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
