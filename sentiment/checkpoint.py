"""What a checkpoint folder holds: config.json, tokenizer.json, model.onnx; loading, verification, name.

It may hold int8.safetensors and int8.onnx too (`sentiment.int8`), which make the same model faster and are not part of
its hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy, TaxonomyError, taxonomy_from_dict

SCHEMA_VERSION = 1
FILES = ("config.json", "tokenizer.json", "model.onnx")
INT8, INT8_GRAPH = "int8.safetensors", "int8.onnx"
READ_BYTES = 1 << 20  # at once, to hash


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says what was expected, what was found, what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    `thresholds`: the least mention probability per dimension, and of `escalation`. `scaling`: from logits to those of
    probabilities. `uncertain`: the least confidence per head below which a person should look.
    """

    folder: Path
    name: str
    hash: str
    taxonomy: Taxonomy
    thresholds: dict[str, float]
    scaling: Scaling
    uncertain: dict[str, float]
    max_tokens: int
    config: dict[str, Any]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of what its folder holds of it."""
        if not (self.folder / INT8).is_file():
            return FILES  # a graph alone is not used
        return (*FILES, INT8, INT8_GRAPH) if (self.folder / INT8_GRAPH).is_file() else (*FILES, INT8)


def embedded_folder() -> Path:
    """The folder of the checkpoint inside the package."""
    return Path(str(files("sentiment") / "model"))


def load_checkpoint(folder: str | Path | None = None) -> Checkpoint:
    """Reads and verifies a checkpoint folder; without one, the checkpoint inside the package.

    The hash is the sha256 of the files in order; config.json holds the graph's, so that a damaged download is found.

    Raises:
        CheckpointError: a file is missing, damaged, or of another schema version.
    """
    path = embedded_folder() if folder is None else Path(folder)
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise CheckpointError(
            f"expected a checkpoint folder with {', '.join(FILES)}, found {path} without {', '.join(missing)}; "
            "write one with `cinesent export`"
        )
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        version = config["schema_version"]
        if version != SCHEMA_VERSION:
            raise CheckpointError(
                f"expected a checkpoint of schema version {SCHEMA_VERSION}, found {version}; "
                "export it again with this version"
            )
        thresholds = dict(config["thresholds"])
        uncertain, max_tokens, title = dict(config["uncertain"]), int(config["max_tokens"]), str(config["name"])
        graph = config["sha256"]["model.onnx"]
        tokenizer = config["sha256"]["tokenizer.json"]
        taxonomy = taxonomy_from_dict(config["taxonomy"])
        scaling = Scaling.from_config(config, taxonomy)
        for key in taxonomy.keys:
            thresholds[key] = float(thresholds[key])
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, TaxonomyError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"expected a config.json written by `cinesent export` in {path}, found {reason}"
        ) from None
    identity = hashlib.sha256((path / "config.json").read_bytes())
    for name, expected in (("tokenizer.json", tokenizer), ("model.onnx", graph)):
        check_file(path / name, expected, identity)
    digest = identity.hexdigest()
    return Checkpoint(
        path, f"{title}@{digest[:8]}", digest, taxonomy, thresholds, scaling, uncertain, max_tokens, config
    )


def check_file(path: Path, expected: str, *others: Any) -> None:
    """Reads a file once, for its sha256 and for `others`, hashes which go on with its bytes.

    Raises:
        CheckpointError: it has another sha256.
    """
    own = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            for one in (own, *others):
                one.update(chunk)
    _same(path.name, own.hexdigest(), expected, "copy it again")


def check_content(name: str, content: bytes, expected: str, remedy: str) -> None:
    """
    Raises:
        CheckpointError: a file's content has another sha256.
    """
    _same(name, hashlib.sha256(content).hexdigest(), expected, remedy)


def _same(name: str, found: str, expected: str, remedy: str) -> None:
    if found != expected:
        raise CheckpointError(
            f"expected {name} with sha256 {expected[:12]}…, found {found[:12]}…; it is damaged: {remedy}"
        )
