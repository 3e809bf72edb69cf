"""What a long benchmark has measured so far, on disk: an interruption loses the task at work, not the hours before."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.machine import QUIET
from sentiment.checkpoint import Checkpoint
from sentiment.int8 import scales_of

BESIDE = "others beside "  # before a task's name: the cores that others kept busy meanwhile
ROOT = Path(__file__).parent.parent


def code_hash(modules: Sequence[str]) -> str:
    """Identity of the code that a measurement depends on: the package's own modules and its tables, and those of the
    benchmark, named without their package or, those of training, with it."""
    files = sorted([*(ROOT / "sentiment").glob("*.py"), *(ROOT / "sentiment" / "tables").glob("*.py")])
    files += [
        ROOT / f"{name}.py" if name.startswith("training/") else ROOT / "benchmarks" / f"{name}.py"
        for name in sorted({*modules, "journal", "rounds"})
    ]
    found = hashlib.sha256()
    for path in files:
        found.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def identity(checkpoint: Checkpoint) -> dict[str, str]:
    """The model that a measurement depends on: a checkpoint's hash, and its scales of int8, no part of that."""
    return {"hash": checkpoint.hash, "scales": scales_of(checkpoint.folder)}


class Journal:
    """Values by name, a line of JSON each, after a line with the facts that they depend on.

    A journal of other facts is not gone on with: it is put aside under `.old`, or `.old2` and so on where one is there,
    and a new one begun. `sittings` counts the processes that took part. Without a path nothing is kept.
    """

    def __init__(self, path: Path | None, facts: Mapping[str, Any]) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        self.sittings = 1
        head = json.dumps({"facts": facts}, ensure_ascii=False, sort_keys=True)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        if lines and lines[0] == head:
            for line in lines[1:]:
                try:
                    entry = json.loads(line)
                except ValueError:  # the process ended in the middle of the last line
                    break
                self.sittings += "sitting" in entry
                if "name" in entry:
                    self._values[entry["name"]] = entry["value"]
            print(f"{path}: {len(self._values)} values of an earlier sitting; remove it to begin anew", file=sys.stderr)
        elif lines:
            names = (f"{path.name}.old{number if number > 1 else ''}" for number in count(1))
            aside = next(one for one in map(path.with_name, names) if not one.exists())
            path.replace(aside)
            print(
                f"{path}: expected the same {_others(lines[0], json.loads(head)['facts'])}, found others; begun anew, "
                f"what was measured is in {aside}",
                file=sys.stderr,
            )
        kept = [json.dumps({"name": name, "value": value}) for name, value in self._values.items()]
        sittings = [json.dumps({"sitting": number + 1}) for number in range(self.sittings)]
        new = path.with_name(f"{path.name}.new")  # an interruption of the writing leaves the hours before as they are
        new.write_text("\n".join([head, *sittings, *kept]) + "\n", "utf-8")
        new.replace(path)

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """The value of that name; measured, and kept, if it is not there yet. It has to be JSON."""
        if name not in self._values:
            self._values[name] = measure()
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps({"name": name, "value": self._values[name]}) + "\n")
                    handle.flush()
                    os.fsync(handle.fileno())
        return self._values[name]

    def get(self, name: str) -> Any:
        """The value of that name, or None."""
        return self._values.get(name)

    def circumstances(self, of_this: Mapping[str, Any]) -> list[Any]:
        """What each sitting recorded of the machine (`benchmarks.machine.conditions`), this one's last; then that task
        of all so far beside which others worked most."""
        self.once(f"circumstances of sitting {self.sittings}", lambda: dict(of_this))
        found = [self.get(f"circumstances of sitting {number + 1}") for number in range(self.sittings)]
        found = [entry for entry in found if entry is not None]
        loads = {name.removeprefix(BESIDE): load for name, load in self._values.items() if name.startswith(BESIDE)}
        known = {name: load for name, load in loads.items() if load is not None}
        if known:
            most = max(known, key=lambda name: known[name])
            found.append({"during": most, "other_load": known[most], "busy": known[most] > QUIET})
        return found

    def close(self) -> None:
        """Removes the file, once the results that it served are written."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _others(line: str, facts: Mapping[str, Any]) -> str:
    """The names of the facts that differ."""
    try:
        before = json.loads(line)["facts"]
    except (ValueError, KeyError, TypeError):
        return "facts"
    names = [name for name in sorted({*before, *facts}) if before.get(name) != facts.get(name)]
    return ", ".join(names)
