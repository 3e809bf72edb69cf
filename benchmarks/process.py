"""`cinesent serve` as a process of its own, for benchmarks."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def service(folder: Path, *options: str, seconds: float = 120) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port once it is ready; `folder` takes its data and its log.

    Raises:
        RuntimeError: it was not ready in time, or did not end with exit code 0 on SIGTERM.
    """
    port = free_port()
    command = [sys.executable, "-c", "from sentiment.cli import main; main()", "serve", "--port", str(port)]
    with (folder / "service.log").open("wb") as log:
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        command += ["--data-dir", str(folder), *options]
        process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
    try:
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(urllib.error.URLError, OSError):
                if urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).status == 200:
                    break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"expected a service, found none; see {folder / 'service.log'}")
            time.sleep(0.1)
        yield process, port
        process.send_signal(signal.SIGTERM)
        if process.wait(60) != 0:
            raise RuntimeError(f"expected exit code 0 on SIGTERM, found {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def resident_mb(process: int, *, peak: bool = False) -> float:
    """Resident memory of a process, or the most that it has had, in MB. Linux only."""
    name = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError("expected memory in /proc, found none")
