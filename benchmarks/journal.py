"""What a long benchmark has measured so far, on disk: an interruption loses the task at work, not the hours before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Values by name, a line of JSON each, after a line with the facts that they depend on.

    A journal of other facts is begun anew. `sittings` counts the processes that took part. Without a path nothing is
    kept.
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
        kept = [json.dumps({"name": name, "value": value}) for name, value in self._values.items()]
        sittings = [json.dumps({"sitting": number + 1}) for number in range(self.sittings)]
        path.write_text("\n".join([head, *sittings, *kept]) + "\n", "utf-8")

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

    def close(self) -> None:
        """Removes the file, once the results that it served are written."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
