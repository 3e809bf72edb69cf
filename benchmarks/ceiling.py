"""The ceiling: how fast this machine multiplies matrices of the model's own shapes, and nothing else."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sentiment.checkpoint import Checkpoint
from sentiment.engine import TOKEN_BUDGET

KINDS = ("float32", "bfloat16", "int8")
UNITS = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx512f", "avx2")
SMALL_ROWS = 64
CYCLE_SECONDS = 2.0  # a kind that takes longer for all layers is measured with fewer rows

Shapes = Sequence[tuple[int, int]]
Maker = Callable[[int, tuple[int, int]], Callable[[], Any]]  # (rows, shape) → the product


def shapes_of(checkpoint: Checkpoint) -> list[tuple[int, int]]:
    """(inner, outer) of every product with a weight that one token goes through.

    Attention's products between tokens are left out, and the heads that read the text once: few operations, and the
    ceiling is rather too high than too low.
    """
    encoder, count = checkpoint.config["encoder"], len(checkpoint.taxonomy.keys)
    hidden, inner = int(encoder["hidden_size"]), int(encoder["intermediate_size"])
    layer = [(hidden, hidden)] * 4 + [(hidden, inner), (inner, hidden)]
    return layer * int(encoder["num_hidden_layers"]) + [(hidden, count + 3), (hidden, count), (hidden, hidden)]


def operations(shapes: Shapes) -> int:
    """Multiplications and additions a token."""
    return sum(2 * inner * outer for inner, outer in shapes)


def units() -> list[str]:
    """Which vector and matrix units the processor names. Linux only, else empty."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text("utf-8").split("flags", 1)[-1].split("\n", 1)[0].split() if cpuinfo.is_file() else []
    return [name for name in UNITS if name in flags]


class Products:
    """All products of one kind, each with a weight of its own as in the model, over one batch of tokens.

    int8: the faster of torch's plain integer product and its quantised linear layer, which one is in `means`.
    """

    def __init__(self, kind: str, shapes: Shapes, rows: int = TOKEN_BUDGET) -> None:
        self._shapes = shapes
        known: dict[str, list[tuple[str, Maker]]] = {
            "float32": [("mm", _float(torch.float32))],
            "bfloat16": [("mm", _float(torch.bfloat16))],
            "int8": [("_int_mm", _integer), ("quantized.linear", _quantised)],
        }
        makers = known[kind]
        # The layer's six products tell which maker is quickest; a slow one is not asked for all rows.
        first = shapes[: min(6, len(shapes))]
        taken = {name: _seconds([make(SMALL_ROWS, shape) for shape in first]) for name, make in makers}
        self.means = min(taken, key=lambda name: taken[name])
        cycle = taken[self.means] * operations(shapes) / operations(first)  # of the few rows
        self.rows = max(SMALL_ROWS, min(rows, int(SMALL_ROWS * CYCLE_SECONDS / cycle)))
        make = dict(makers)[self.means]
        self._products = [make(self.rows, shape) for shape in shapes]

    def rate(self, threads: int, seconds: float) -> float:
        """Operations a second with so many threads, over whole cycles of at least so many seconds together."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            _seconds(self._products[:6])  # warm
            started, cycles = time.perf_counter(), 0
            while time.perf_counter() - started < seconds:
                for product in self._products:
                    product()
                cycles += 1
            return cycles * self.rows * operations(self._shapes) / (time.perf_counter() - started)
        finally:
            torch.set_num_threads(before)


def _seconds(products: Sequence[Callable[[], Any]]) -> float:
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        for product in products:
            product()
        best = min(best, time.perf_counter() - started)
    return best


def _float(kind: torch.dtype) -> Maker:
    def make(rows: int, shape: tuple[int, int]) -> Callable[[], Any]:
        left, right = torch.randn(rows, shape[0]).to(kind), torch.randn(*shape).to(kind)
        return lambda: torch.mm(left, right)

    return make


def _integer(rows: int, shape: tuple[int, int]) -> Callable[[], Any]:
    left, right = (torch.randint(-127, 128, size, dtype=torch.int8) for size in ((rows, shape[0]), shape))
    return lambda: torch._int_mm(left, right)


def _quantised(rows: int, shape: tuple[int, int]) -> Callable[[], Any]:
    inner, outer = shape
    with warnings.catch_warnings():  # tensors that know their scale are to go; the arithmetic stays
        warnings.simplefilter("ignore")
        scales, zeros = torch.full((outer,), 0.01), torch.zeros(outer, dtype=torch.long)
        weight = torch.quantize_per_channel(torch.randn(outer, inner), scales, zeros, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(weight, None)
        left = torch.quantize_per_tensor(torch.randn(rows, inner), 0.02, 128, torch.quint8)
    return lambda: torch.ops.quantized.linear(left, packed, 0.05, 128)
