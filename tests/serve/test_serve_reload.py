from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from serve.reload import Reloader


@pytest.mark.skipif(os.name != "posix", reason="processes cannot be asked for")
def test_reload_counts_a_worker_that_is_busy_and_none_that_is_gone(tmp_path: Path) -> None:
    """A worker that had no time to touch its file for half a minute is waited for all the same; one that was killed is
    not, nor one whose number another process has had for long."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for process, age in ((os.getpid(), 30), (gone.pid, 0), (os.getppid(), 600)):
        path = tmp_path / f"worker-{process}.json"
        path.write_text(json.dumps({"process": process, "generation": 0, "failed": -1}), "utf-8")
        os.utime(path, (time.time() - age,) * 2)
    unused: Any = None
    reloader = Reloader(unused, unused, tmp_path, unused)
    assert [peer.process for peer in reloader.peers()] == [os.getpid()]
