"""int8: the fixed scales that a checkpoint keeps for it, and the graph that was made by them.

Products of activations and weights are in int8, all else is as before. Both are rescaled first, so that the few large
channels of an activation leave its other channels steps enough (SmoothQuant, Xiao et al. 2023). Scales are taken from
calibration texts once (`training.int8`): with those of a batch a record would depend on its neighbours. They are in
int8.safetensors, a hundred KB. ONNX Runtime takes int8.onnx, which was made of them and of model.onnx
(`training.int8_graph`). Thresholds and scaling that were fitted to what int8 answers lie beside the scales.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import INT8, INT8_GRAPH, Checkpoint, CheckpointError, check_content
from sentiment.onnx_session import open_session
from sentiment.scaling import Scaling

Floats = NDArray[np.float32]

Place = tuple[int, int, int]  # of an int8 matrix in a file: offset in bytes, rows, columns

SMOOTH, RANGE, PLACES, RULES, BESIDE = ".smooth", ".range", "weights", "rules", "beside"
DECIDING = ("thresholds", "uncertain", "temperatures", "factors", "biases")  # in config.json
STEPS = 127  # of a weight on either side of nought
AGAIN = f"make it again with `python -m training.int8`, or remove {INT8}"


@dataclass(frozen=True)
class Scales:
    """Of one product: what each of its C input channels is multiplied with, and the least and the greatest value of
    the result, beyond which it is cut off."""

    smooth: Floats
    low: float
    high: float


def digest(tensors: Mapping[str, Floats], metadata: Mapping[str, str]) -> str:
    """The sha256 of names and values, and of what is noted beside them, which finds a damaged file."""
    found = hashlib.sha256(json.dumps(dict(sorted(metadata.items()))).encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensors[name], dtype="<f4").tobytes())
    return found.hexdigest()


def scales_of(folder: Path) -> str:
    """Tells the scales that a checkpoint's folder holds from others; empty where it holds none."""
    path = folder / INT8
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8] if path.is_file() else ""


def write_scales(
    path: Path,
    scales: Mapping[str, Scales],
    graph: str,
    int8_graph: str = "",
    places: Mapping[str, Place] | None = None,
    rules: Mapping[str, Any] | None = None,
) -> None:
    """Writes them by the names of the products.

    Args:
        graph: the sha256 of the model.onnx that they are of.
        int8_graph: that of the int8.onnx which was made of both; empty where there is none.
        places: where in model.onnx are the weights that int8.onnx reads, by their names.
        rules: thresholds, scaling and bounds of doubt of what int8 answers, as config.json has those of float32; they
            hold beside those in the config.json that lies in the folder now.
    """
    from safetensors.numpy import save_file

    tensors = {}
    for name, found in scales.items():
        tensors[f"{name}{SMOOTH}"] = np.asarray(found.smooth, dtype=np.float32)
        tensors[f"{name}{RANGE}"] = np.array([found.low, found.high], dtype=np.float32)
    metadata = {"model.onnx": graph}
    if int8_graph:
        metadata |= {INT8_GRAPH: int8_graph, PLACES: json.dumps(places or {})}
    if rules:
        config = json.loads((path.parent / "config.json").read_text("utf-8"))
        metadata |= {RULES: json.dumps(rules), BESIDE: _rules_hash(config)}
    save_file(tensors, path, {**metadata, "sha256": digest(tensors, metadata)})


def read_scales(path: Path) -> dict[str, Scales]:
    """The scales of a checkpoint that is loaded.

    Raises:
        CheckpointError: the file is damaged, or of another model.onnx.
    """
    _, tensors = _read(path)
    names = [name.removesuffix(SMOOTH) for name in tensors if name.endswith(SMOOTH)]
    return {
        name: Scales(tensors[f"{name}{SMOOTH}"], *map(float, tensors[f"{name}{RANGE}"]))  # least and greatest
        for name in names
    }


def read_graph(folder: Path) -> tuple[bytes, dict[str, NDArray[np.int8]]]:
    """The int8.onnx of a checkpoint that is loaded, and by their names the weights that it reads from model.onnx.

    Raises:
        CheckpointError: a file is damaged, or of others than those beside it.
    """
    metadata, _ = _read(folder / INT8)
    if INT8_GRAPH not in metadata:
        raise CheckpointError(f"expected scales of {INT8_GRAPH} in {folder / INT8}, found those of no graph; {AGAIN}")
    graph, content = ((folder / name).read_bytes() for name in (INT8_GRAPH, "model.onnx"))
    check_content(INT8_GRAPH, graph, metadata[INT8_GRAPH], AGAIN)
    check_content("model.onnx", content, metadata["model.onnx"], AGAIN)
    # Read here, and not by ONNX Runtime as its external data: it would keep the file mapped, which may be replaced.
    weights = {
        name: np.frombuffer(content, np.int8, rows * columns, offset).reshape(rows, columns)
        for name, (offset, rows, columns) in json.loads(metadata[PLACES]).items()
    }
    return graph, weights


def decided_in_int8(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint as int8 decides by it: with the rules that lie beside its scales.

    Its own stay where there are none, and where they are not those beside which int8's were fitted: whoever changed a
    threshold in config.json wants that one, and the others were made to go with it.

    Raises:
        CheckpointError: the scales are damaged, or of another model.onnx.
    """
    metadata, _ = _read(checkpoint.folder / INT8)
    if metadata.get(BESIDE) != _rules_hash(checkpoint.config):
        return checkpoint
    rules = json.loads(metadata[RULES])
    scaling = Scaling.from_config(rules, checkpoint.taxonomy)
    return replace(checkpoint, scaling=scaling, thresholds=rules["thresholds"], uncertain=rules["uncertain"])


def _rules_hash(config: Mapping[str, Any]) -> str:
    rules = {name: config.get(name) for name in DECIDING}
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Floats]]:
    """What is noted of the scales in a file, and they."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(
            f"expected scales in {path}, found no such file any more; load the checkpoint again"
        ) from None
    except SafetensorError as error:
        raise CheckpointError(f"expected scales in {path}, found a damaged file ({error}); {AGAIN}") from None
    if metadata.pop("sha256", None) != digest(tensors, metadata):
        raise CheckpointError(f"expected scales as they were written in {path}, found others; {AGAIN}")
    # As config.json names it: a checkpoint is loaded only if model.onnx is that.
    config = json.loads((path.parent / "config.json").read_text("utf-8"))
    if metadata.get("model.onnx") != config["sha256"]["model.onnx"]:
        raise CheckpointError(f"expected scales of the model.onnx beside {path}, found those of another; {AGAIN}")
    return metadata, tensors


@cache
def exact_products() -> bool:
    """Whether ONNX Runtime adds products of eight bits without saturating on this processor.

    Kernels for processors without units for it (of x86: VNNI, AMX) add two products in sixteen bits first. A product of
    the greatest values shows it.
    """
    left, right = np.full((4, 64), 255, np.uint8), np.full((64, 16), STEPS, np.int8)
    try:
        session = open_session((files("sentiment") / "int8_product.onnx").read_bytes(), 1)
        (found,) = session.run(None, {"left": left, "right": right})
    except Exception:  # it has no class for it; float32 can be had still
        return False
    return bool((found == left.astype(np.int32) @ right.astype(np.int32)).all())
