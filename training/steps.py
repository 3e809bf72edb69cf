"""What a training leaves in its run folder: saved steps to resume from, and what another training would replace."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.example import DatasetError, Example

STEPS = "checkpoints"
FINGERPRINT = "texts.json"
SEEN = "seen.txt"
_RESULTS = ("model.safetensors", "metrics.json", SEEN, "averaged.json", "out_of_fold.npz")
_STEP = ("model.safetensors", "optimizer.pt", "scheduler.pt")
_PART = re.compile(r"(fold|seed)-\d+")


def newest_step(folder: Path) -> Path | None:
    """The newest saved step that is whole. A training that was killed while it saved leaves one that is not."""
    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in (folder / STEPS).glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdecimal() and _is_whole(path)
    }
    return found[max(found)] if found else None


def _is_whole(step: Path) -> bool:
    if not all((step / name).is_file() for name in _STEP):
        return False
    try:
        state = json.loads((step / "trainer_state.json").read_text("utf-8"))  # the Trainer writes it last
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and "global_step" in state


def has_run(folder: Path) -> bool:
    """Whether a training, finished or not, is there that another one would replace."""
    return (
        any((folder / name).exists() for name in _RESULTS)
        or newest_step(folder) is not None
        or any(has_run(part) for part in _parts(folder))
    )


def clear_run(folder: Path) -> None:
    """Removes what a training left, so that nothing of it can pass for the next one's; other files stay."""
    for part in _parts(folder):
        if has_run(part):
            shutil.rmtree(part)
    shutil.rmtree(folder / STEPS, ignore_errors=True)
    for name in _RESULTS:
        (folder / name).unlink(missing_ok=True)


def _parts(folder: Path) -> list[Path]:
    """The folders of the single trainings of `--folds` and `--seeds`."""
    return [path for path in folder.glob("*-*") if path.is_dir() and _PART.fullmatch(path.name)]


def misses(step: Path) -> int:
    """How many evaluations in a row had brought nothing better when a step was saved: early stopping counts on."""
    state = json.loads((step / "trainer_state.json").read_text("utf-8"))
    saved = (state.get("stateful_callbacks") or {}).get("EarlyStoppingCallback") or {}
    return int(saved.get("attributes", {}).get("early_stopping_patience_counter", 0))


def fingerprint(examples: Iterable[Example], settings: Sequence[Any]) -> str:
    """The sha256 of texts, labels and settings on which it depends what step comes after which."""
    digest = hashlib.sha256(repr(settings).encode())
    for e in examples:
        labels = (e.text, sorted(e.labels.items()), sorted(e.annotated), e.overall, e.intent, e.escalation)
        digest.update(repr((*labels, e.rating, e.weight)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def keep_fingerprint(folder: Path, found: str, *, resume: bool, settings: Mapping[str, Any] | None = None) -> None:
    """Notes on what the training in this folder learns, and with what else of its `settings` (plain values by name).

    Raises:
        DatasetError: the training to resume learnt from something else, or with other settings: a saved optimiser would
            go on with its own.
    """
    path, own = folder / STEPS / FINGERPRINT, dict(settings or {})
    try:
        before = json.loads(path.read_text("utf-8"))
        known = before["sha256"], dict(before.get("settings", {}))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # an earlier version's, or cut off here
        known = found, {}
    if resume and known[0] != found:
        raise DatasetError(
            f"expected the texts, labels, seed, batch size and window of the training in {folder}, found others; "
            "resume with the same, or begin anew with --overwrite"
        )
    others = [name for name, value in own.items() if name in known[1] and known[1][name] != value]
    if resume and others:
        named = ", ".join(name.replace("_", " ") for name in others)
        raise DatasetError(
            f"expected the {named} of the training in {folder}, found another; resume with the same, or begin anew "
            "with --overwrite"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sha256": found, "settings": own}) + "\n", "utf-8")
