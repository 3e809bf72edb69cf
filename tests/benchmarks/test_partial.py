"""The proof on partly labelled texts run small: the bakery's checkpoint goes on with texts of a known overall."""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from sentiment.taxonomy import Taxonomy
from training.example import Example
from training.train import Recipe

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def partial() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT))
    import benchmarks.partial

    yield benchmarks.partial
    sys.path.remove(str(ROOT))


def test_partial_judges_a_training_before_and_after_on_texts_it_has_not_seen(
    partial: ModuleType, own_checkpoint: Path, own_examples: Callable[[int, int], list[Example]], tmp_path: Path
) -> None:
    judged = own_examples(40, 21)
    silent = [replace(e, labels={}, annotated=frozenset(), intent=None, escalation=None) for e in own_examples(40, 20)]
    recipe = Recipe(epochs=1, learning_rate=1e-4, max_tokens=64)
    given = ([*silent, judged[0]], judged, {"dev": own_examples(40, 22)}, tmp_path / "run", recipe, own_checkpoint)
    found = partial.measure(*given)
    assert found["judged"] == 40 and found["fitted"] <= 40
    assert set(found["sets"]) == {"own", "dev"}
    for part in found["sets"].values():
        for name, change in part["differences"].items():
            before, after = (part[side][name]["value"] for side in ("before", "after"))
            assert change["value"] == pytest.approx(after - before, abs=2e-4)
            assert change["low"] <= change["high"]
    # What its texts say nothing about it still does well.
    assert found["sets"]["dev"]["after"]["mention"]["value"] > 0.9
    made = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    assert partial.measure(*given) == found and found["kept"] is None
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == made
    # Another recipe is another run; the share that it keeps is chosen on the development texts.
    again = partial.measure(*given[:4], replace(recipe, keep=None), own_checkpoint)
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns != made
    tried = again["kept"]["tried"]
    chosen = next(entry for entry in tried if entry["share"] == again["kept"]["share"])
    assert chosen["development"] >= tried[-1]["development"] and tried[-1]["share"] == 1


def test_partial_films_have_stars_only_and_are_parted(partial: ModuleType, taxonomy: Taxonomy, tmp_path: Path) -> None:
    rows = [
        {"text": f"{chr(0x4E00 + 7 * i)}{chr(0x5E00 + 3 * i)}这片第{i}回看", "rating": 1 + i % 5} for i in range(90)
    ]
    for name in ("film_maoyan", "senti_chnsenticorp_hotel", "senti_waimai_10k", "senti_online_shopping_10_cats"):
        with lzma.open(tmp_path / f"{name}.jsonl.xz", "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in (rows if name == "film_maoyan" else []))
    fitted, judged = partial.films(tmp_path, taxonomy)
    assert len(fitted) + len(judged) == 90 and 20 <= len(judged) <= 40
    assert {e.text for e in fitted}.isdisjoint(e.text for e in judged)
    assert all(e.overall is None and e.rating is not None and not e.annotated for e in fitted)
    assert {e.overall for e in judged} == {"positive", "neutral", "negative"}
