"""What a labelled set is held to beyond the schema: its `requirements.yaml`, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.example import DatasetError

REQUIREMENTS = "requirements.yaml"


@dataclass(frozen=True)
class Judged:
    """What the splits that measure a model are held to."""

    splits: tuple[str, ...] = ("dev", "test")
    texts: int = 0
    mentions: int = 0
    annotators: int = 0


@dataclass(frozen=True)
class Standoff:
    """Labels of others' texts, in a folder beside the set: least rows, and the share of them (0..1) labelled twice."""

    folder: Path | None = None
    rows: int = 0
    second: float = 0.0


@dataclass(frozen=True)
class Pairs:
    """Texts of one content in two wordings, in a folder beside the set: least pairs."""

    folder: Path | None = None
    pairs: int = 0


@dataclass(frozen=True)
class Requirements:
    """Least numbers over all splits; `traditional` is a share of the texts, `characters` (least, most) of a text.

    `no_service` lists the kinds of text that have no label but the product's own (the film's), `no_escalation` those
    whose escalation is false.
    """

    texts: int = 0
    mentions: int = 0
    sentiments: int = 0
    intents: Mapping[str, int] = field(default_factory=dict)
    escalations: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    no_service: tuple[str, ...] = ()
    no_escalation: tuple[str, ...] = ()
    traditional: float = 0.0
    characters: tuple[int, int] = (1, 1_000_000)
    judged: Judged = Judged()
    standoff: Standoff = Standoff()
    pairs: Pairs = Pairs()


def read_requirements(path: Path) -> Requirements:
    """Reads `requirements.yaml`; folders in it are meant from where it lies.

    Raises:
        DatasetError: a key or a value that is not known.
    """
    found = yaml.safe_load(path.read_text("utf-8")) or {}
    try:
        judged, standoff, pairs = (dict(found.pop(name, {})) for name in ("judged", "standoff", "pairs"))
        for options, name in (
            (judged, "splits"), (found, "characters"), (found, "no_service"), (found, "no_escalation"),
        ):  # fmt: skip
            if name in options:
                options[name] = _listed(options[name])
        for options in (standoff, pairs):
            if "folder" in options:
                options["folder"] = path.parent / options["folder"]
        return Requirements(
            **found, judged=Judged(**judged), standoff=Standoff(**standoff), pairs=Pairs(**pairs)
        )  # fmt: skip
    except (TypeError, ValueError, AttributeError) as error:
        known = ", ".join(Requirements.__dataclass_fields__)
        raise DatasetError(f"{path.name}: expected a mapping with the keys {known}, found: {error}") from None


def _listed(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} where a list belongs")
    return tuple(value)
