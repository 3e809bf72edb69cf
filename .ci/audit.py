"""Two checks that need no network: `python .ci/audit.py dependencies [LOG]` and `python .ci/audit.py secrets [FOLDER]`.

dependencies: what is installed agrees with what every package requires (`pip check`); every package is pinned in
constraints.txt, and in that version; and pip's LOG of the installation, where it is given, names no withdrawn release.
Known vulnerabilities are not looked up: that takes a service beyond the package index. CONTRIBUTING.md says how.

secrets: detect-secrets finds nothing that is not in .ci/secrets.json, the list of what it takes for secrets and are
none. `--accept` writes that list; read the difference before committing it. A secret is known by its file, kind and
hash, not by its line.

Exit code 1, and a line for each finding, if there is one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
KNOWN = Path(".ci") / "secrets.json"
# Ours, and what environments are made with.
_NOT_PINNED = {"cinesent", "pip"}
_SKIPPED_FOLDERS = re.compile(
    r"\.git|\.venv|\.\w+_cache|\.hypothesis|__pycache__|build|dist|runs|.*\.egg-info|.*\.partial"
)
# Hashes by the thousand, a vocabulary, megabytes of sentences, others' packed scripts, and what is not text.
_SKIPPED_FILES = re.compile(
    r"data/(standoff|cinema)/.*\.jsonl|data/samples/visits\.csv|.*/tokenizer\.json|.*/swagger-ui.*|.*\.min\.js|"
    r".*\.(onnx|png|svg|xlsx|parquet)"
)


def dependencies(log: Path | None = None) -> list[str]:
    """What is wrong with the environment that runs this."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    wrong = [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for found in distributions():
        name = canonicalize_name(found.metadata["Name"])
        if name not in _NOT_PINNED and pins.get(name) != found.version.partition("+")[0]:
            wrong.append(
                f"{name}: expected {pins.get(name, 'a pin')} in constraints.txt, found {found.version} installed"
            )
    if log is not None:
        wrong += [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if "yanked" in line]
    return wrong


def files(folder: Path) -> Iterator[str]:
    """Every file of a source tree, as paths from `folder`."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _SKIPPED_FOLDERS.fullmatch(name))
        for name in sorted(names):
            path = (Path(root) / name).relative_to(folder).as_posix()
            if path != KNOWN.as_posix() and not _SKIPPED_FILES.fullmatch(path):
                yield path


def secrets(folder: Path) -> list[dict[str, str]]:
    """Whatever looks like a secret, without itself, in the order of files."""
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    found = SecretsCollection(root=str(folder))
    with default_settings():
        for path in files(folder):
            found.scan_file(path)
    return [
        {"file": path, "kind": secret.type, "sha1": secret.secret_hash}
        for path, secret in sorted(found, key=lambda item: (item[0], item[1].type, item[1].secret_hash))
    ]


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--accept"]
    if words[:1] == ["dependencies"]:
        wrong = dependencies(Path(words[1]) if words[1:] else None)
    elif words[:1] == ["secrets"]:
        folder = Path(words[1]) if words[1:] else ROOT
        found = secrets(folder)
        if "--accept" in sys.argv:
            (folder / KNOWN).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
            return 0
        known = json.loads((folder / KNOWN).read_text("utf-8"))
        wrong = [f"{one['file']}: {one['kind']}" for one in found if one not in known]
        wrong += [f"{one['file']}: no longer there; run --accept" for one in known if one not in found]
    else:
        print(__doc__, file=sys.stderr)
        return 2
    print("\n".join(wrong) or f"{words[0]}: nothing found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
