from __future__ import annotations

import onnx
import pytest
import torch

from benchmarks.ceiling import KINDS, UNITS, Products, operations, shapes_of, units
from sentiment.checkpoint import load_checkpoint


def test_ceiling_shapes_are_those_of_the_packaged_model() -> None:
    """Every matrix of the packaged graph that a token is multiplied with, and no other."""
    checkpoint = load_checkpoint()
    graph = onnx.load(str(checkpoint.folder / "model.onnx")).graph
    found = sorted(
        tuple(tensor.dims) for tensor in graph.initializer
        if tensor.name.endswith(".T_int8") and len(tensor.dims) == 2
    )  # fmt: skip
    assert sorted(shapes_of(checkpoint)) == found


def test_ceiling_operations_count_products_and_sums() -> None:
    assert operations([(3, 5), (5, 2)]) == 2 * (15 + 10)


@pytest.mark.parametrize("kind", KINDS)
def test_ceiling_rate_is_what_was_multiplied(kind: str) -> None:
    products = Products(kind, [(16, 32), (32, 16)], rows=64)
    threads = torch.get_num_threads()
    assert products.rate(1, 0.05) > 1e5
    assert torch.get_num_threads() == threads
    assert products.rows == 64 and products.means in ("mm", "_int_mm", "quantized.linear")


def test_ceiling_units_are_known_names() -> None:
    assert set(units()) <= set(UNITS)
