"""The proof on partly labelled texts run small: the bakery's checkpoint goes on with texts of a known overall."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import partial
from sentiment.taxonomy import Taxonomy
from training.corpora import HELD_OUT_FILES
from training.example import Example
from training.near_duplicates import near_duplicate_groups
from training.train import Recipe


def test_partial_judges_a_training_before_and_after_on_texts_it_has_not_seen(
    own_checkpoint: Path, own_examples: Callable[[int, int], list[Example]], tmp_path: Path
) -> None:
    judged = own_examples(40, 21)
    silent = [replace(e, labels={}, annotated=frozenset(), intent=None, escalation=None) for e in own_examples(40, 20)]
    recipe = Recipe(epochs=1, learning_rate=1e-4, max_tokens=64)
    choosing, dev = {"dev": own_examples(40, 23)}, {"dev": own_examples(40, 22)}
    given = ([*silent, judged[0]], judged, choosing, dev, tmp_path / "run", recipe, own_checkpoint)
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
    # Another recipe is another run; the share that it keeps is chosen on the other half of the development texts.
    again = partial.measure(*given[:5], replace(recipe, keep=None), own_checkpoint)
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns != made
    tried = again["kept"]["tried"]
    chosen = next(entry for entry in tried if entry["share"] == again["kept"]["share"])
    assert chosen["development"] >= tried[-1]["development"] and tried[-1]["share"] == 1


def test_partial_is_judged_on_other_development_texts_than_it_is_chosen_by() -> None:
    marks = [chr(0x4E00 + 11 * i) * 6 for i in range(60)]
    dev = {
        "real": [Example(text=text) for text in marks[:40]],
        "written": [Example(text=text) for text in [*marks[40:], *(f"{text}。" for text in marks[:10])]],
    }
    choosing, judged = partial.halves(dev)
    assert set(choosing) == set(judged) == set(dev)
    for name, part in dev.items():
        assert len(choosing[name]) + len(judged[name]) == len(part)
        assert 0.25 < len(judged[name]) / len(part) < 0.75
    sides = [[e.text for part in sets.values() for e in part] for sets in (choosing, judged)]
    groups = near_duplicate_groups([*sides[0], *sides[1]])
    assert set(groups[: len(sides[0])]).isdisjoint(groups[len(sides[0]) :])
    assert partial.halves(dev) == (choosing, judged)


def write_corpus(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    with lzma.open(folder / f"{name}.jsonl.xz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def film_rows() -> list[dict[str, Any]]:
    return [
        {"text": f"{chr(0x4E00 + 7 * i)}{chr(0x5E00 + 3 * i)}这片第{i}回看", "rating": 1 + i % 5} for i in range(90)
    ]


def test_partial_films_have_stars_only_and_are_parted(taxonomy: Taxonomy, tmp_path: Path) -> None:
    for name in HELD_OUT_FILES:
        write_corpus(tmp_path, name, [])
    write_corpus(tmp_path, "film_maoyan", film_rows())
    fitted, judged = partial.films(tmp_path, taxonomy, [])
    assert len(fitted) + len(judged) == 90 and 20 <= len(judged) <= 40
    assert {e.text for e in fitted}.isdisjoint(e.text for e in judged)
    assert all(e.overall is None and e.rating is not None and not e.annotated for e in fitted)
    assert {e.overall for e in judged} == {"positive", "neutral", "negative"}


def test_partial_leaves_out_what_the_checkpoint_was_trained_on(
    taxonomy: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = film_rows()
    texts = [row["text"] for row in rows]
    for name in HELD_OUT_FILES:
        write_corpus(tmp_path, name, [])
    write_corpus(tmp_path, "film_maoyan", rows)
    named = [
        {"sha256": hashlib.sha256(text.encode()).hexdigest(), "corpus": "film_maoyan", "labels": []}
        for text in texts[:30]
    ]  # fmt: skip
    (tmp_path / "standoff").mkdir()
    (tmp_path / "standoff" / "film.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named), "utf-8")
    monkeypatch.setattr(partial, "STANDOFF", tmp_path / "standoff")
    labelled = tmp_path / "train.jsonl"
    labelled.write_text("".join(json.dumps({"text": f"{text}！"}) + "\n" for text in texts[30:50]), "utf-8")
    seen = partial.seen_texts(tmp_path, [labelled], taxonomy)
    assert len(seen) == 50
    fitted, judged = partial.films(tmp_path, taxonomy, seen)
    assert {e.text for e in (*fitted, *judged)} == set(texts[50:])
    monkeypatch.setattr(partial, "FITTED", 20)
    monkeypatch.setattr(partial, "JUDGED", 10)
    fitted, judged = partial.films(tmp_path, taxonomy, seen[:30])
    assert len(fitted) + len(judged) == 30  # as many as there may be: the known ones go before they are drawn
    assert {e.text for e in (*fitted, *judged)} <= set(texts[30:])
