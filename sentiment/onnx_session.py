"""ONNX Runtime: kept from reporting its use, and how its sessions are set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What it would fuse: a sum and a normalisation in one operator, which takes longer than the two.
UNFUSED = ("SkipLayerNormFusion",)
# Of the arena that all sessions of a process share; batches use some 70 MB of it. Only what is used takes memory.
ARENA_BYTES = 128 << 20
_arena_lock, _arena_set_up = Lock(), False


def load_onnxruntime() -> Any:
    """The module, which tells nobody what machine and model it runs on.

    The variable that `sentiment/__init__.py` sets is enough where ONNX Runtime reads it, from 1.29 on and not on
    Windows, and where nobody has imported it before.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(
    model: str | bytes,
    threads: int,
    *,
    weights: Mapping[str, NDArray[np.int8]] | None = None,
    entries: Mapping[str, str] | None = None,
    unfused: Sequence[str] = UNFUSED,
) -> Any:
    """A session on the CPU.

    Args:
        model: an ONNX file, or what is in one.
        weights: tensors that the graph has elsewhere, by their names.
        entries: settings beside ours. unfused: optimisations that are left out.
    """
    onnxruntime = load_onnxruntime()
    _share_arena()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.use_env_allocators", "1")
    for name, value in (entries or {}).items():
        options.add_session_config_entry(name, value)
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in weights.values()]
        options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(unfused)
    )


def _share_arena() -> None:
    """Registers the arena of this process, once, in one piece from the start.

    One that grows, as is the default, doubles whenever a batch finds no gap of its size: after tens of thousands of
    texts still, by as much as it has.
    """
    global _arena_set_up
    with _arena_lock:  # sessions are opened by several threads at once
        if not _arena_set_up:
            _register_arena(load_onnxruntime())
            _arena_set_up = True


def _register_arena(onnxruntime: Any) -> None:
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    settings = {"initial_chunk_size_bytes": ARENA_BYTES}
    # Some versions refuse a second one: then what this process has registered before us is shared.
    with suppress(RuntimeError):
        onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(settings))
