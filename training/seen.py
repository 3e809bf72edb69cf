"""Which texts a run was trained on, as hashes: thresholds fitted on a text that the weights know flatter the model.

Only equal words are recognised, whatever their typing: hashes of n-grams would tell near-duplicates too, but from such
hashes a text can be put together again. `training.run.gather` leaves near-duplicates of its development texts out.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from training.calibrate import FOLDS
from training.drift import ExportError
from training.example import Example
from training.near_duplicates import near_duplicate_groups, shingles
from training.steps import SEEN

# As for `evaluate --cross-fit`: two different texts a fold, or there is nothing to judge the thresholds by.
LEAST_TEXTS = 2 * FOLDS


def text_hash(text: str) -> str:
    """The sha256 of the normalised text without punctuation, lower case, as near-duplicates are compared."""
    (bare,) = shingles(text, sys.maxsize)  # one n-gram, as long as the text
    return hashlib.sha256(bare.encode("utf-8", "surrogatepass")).hexdigest()


def keep_seen(folder: Path, hashes: Iterable[str]) -> None:
    """Writes a run's file of hashes, one a line, in the order of the hashes, which says nothing of the texts."""
    (folder / SEEN).write_text("".join(f"{found}\n" for found in sorted(set(hashes))), "utf-8")


def read_seen(folder: Path) -> frozenset[str] | None:
    """The hashes that a run keeps; None if it keeps none, as those of earlier versions."""
    path = folder / SEEN
    return frozenset(path.read_text("utf-8").split()) if path.is_file() else None


def without_seen(sets: Mapping[str, Sequence[Example]], seen: frozenset[str]) -> tuple[dict[str, list[Example]], int]:
    """(the sets without texts that were trained on and without their near-duplicates among all sets, how many went).

    Raises:
        ExportError: some went, and fewer than `LEAST_TEXTS` different ones stay.
    """
    texts = [example.text for part in sets.values() for example in part]
    groups = near_duplicate_groups(texts)
    known = {group for group, text in zip(groups, texts, strict=True) if text_hash(text) in seen}
    numbers = iter(groups)
    kept = {name: [example for example in part if next(numbers) not in known] for name, part in sets.items()}
    left = len(texts) - sum(map(len, kept.values()))
    different = len(set(groups) - known)
    if left and different < LEAST_TEXTS:
        raise ExportError(
            f"expected at least {LEAST_TEXTS} different development texts that were not trained on, found {different}: "
            f"{left} of {len(texts)} were, or nearly repeat such a one; give --dev others"
        )
    return kept, left
