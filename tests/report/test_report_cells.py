"""Indices of small cells: a single text in one of them."""

from __future__ import annotations

import numpy as np

from sentiment.report.cells import index_cells
from sentiment.report.segments import splits

ALONE = np.array([[[0.75, 0.0, 0.015625]]], np.float32)  # its residual is one rounding error off 0


def test_cells_a_single_text_has_a_finite_variance() -> None:
    cells = index_cells(ALONE, np.zeros(1, int), 1, [0])
    assert np.isfinite(cells.variance).all()
    share = (0.015625 + 2) / (0.765625 + 4)
    np.testing.assert_allclose(cells.variance, 10_000 * share * (1 - share) / (0.765625 + 4))


def test_cells_a_single_text_of_a_period_hides_no_change_of_the_series() -> None:
    good = np.tile(np.arange(40), 12) < np.repeat([12, 32], 240)  # 30 for six months, then 80
    p = np.stack([~good, np.zeros_like(good), good], 1).astype(np.float32)[:, None]
    month = np.repeat(np.arange(13), [40] * 12 + [1])
    cells = index_cells(np.concatenate([p, ALONE]), month, 13, [0])
    found = splits(cells.index[:, 0], cells.mentions[:, 0], cells.variance[:, 0])
    assert [split.at for split in found if split.p <= 0.05] == [6]
