from __future__ import annotations

import json
import lzma
import random
import statistics
from pathlib import Path

import pytest

import benchmarks.texts
from benchmarks.texts import CORPORA, LONG_BETWEEN, Drawn, draw, drawn_texts, row_facts, unique_rows, write_rows
from sentiment.tables import ReadOptions, open_tables
from training.example import DatasetError

WORDS = ("座椅太硬", "音响震撼", "画面清晰", "排队很久", "爆米花很香", "空调太冷", "停车方便", "票价太贵")


def made_up(count: int, longest: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [f"{i}号厅" + "，".join(rng.choices(WORDS, k=rng.randint(1, longest))) for i in range(count)]


def characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def test_texts_drawn_have_the_mean_and_come_once() -> None:
    texts = made_up(600, 20, 1)
    chosen, cycled = draw(texts, characters(texts), 200, 40, seed=3)
    assert len(set(chosen)) == len(chosen) == 200 and not cycled
    assert statistics.mean(characters(chosen)) == pytest.approx(40, abs=3)
    assert draw(texts, characters(texts), 200, 40, seed=3)[0] == chosen
    assert draw(texts, characters(texts), 200, 40, seed=4)[0] != chosen


def test_texts_that_do_not_suffice_come_again() -> None:
    texts = ["短", "稍长一些的一条"]
    chosen, cycled = draw(texts, characters(texts), 8, 4, seed=0)
    assert cycled and statistics.mean(characters(chosen)) == 4
    with pytest.raises(ValueError, match="expected texts below and above a length of 100, found 2 and 0"):
        draw(texts, characters(texts), 8, 100, seed=0)


def test_texts_subsample_has_the_same_mix_of_lengths() -> None:
    texts = made_up(1000, 20, 2)
    drawn = Drawn("short", texts, characters(texts), False)
    part = drawn.subsample(50)
    assert len(set(part.texts)) == 50 and set(part.texts) <= set(texts)
    assert part.tokens == characters(part.texts)
    for wanted, found in zip(statistics.quantiles(drawn.tokens), statistics.quantiles(part.tokens), strict=True):
        assert found == pytest.approx(wanted, rel=0.08)
    assert drawn.subsample(50).texts == part.texts  # the same for every contestant
    assert drawn.subsample(1000) is drawn


def test_texts_of_corpora_and_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = made_up(300, 12, 3) + ["，".join(part) for part in zip(*[iter(made_up(900, 12, 4))] * 8, strict=False)]
    for name in CORPORA:
        with lzma.open(tmp_path / f"{name}.jsonl.xz", "wt", encoding="utf-8") as handle:
            handle.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in rows)
    found = drawn_texts(tmp_path, characters, 40, 10)
    assert {name: len(set(drawn.texts)) for name, drawn in found.items()} == {"short": 40, "long": 10}  # rows are twice
    assert all(LONG_BETWEEN[0] <= len(text) <= LONG_BETWEEN[1] for text in found["long"].texts)
    assert not found["short"].facts()["cycled"]

    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows[:300]), "utf-8")
    monkeypatch.setattr(benchmarks.texts, "OWN", own)
    found = drawn_texts(None, characters, 1000, 50)
    facts = {name: drawn.facts() for name, drawn in found.items()}
    assert facts["short"]["cycled"] and facts["short"]["texts"] == 1000 > facts["short"]["distinct"]
    assert facts["short"]["mean_tokens"] == pytest.approx(25, abs=2)
    assert facts["long"]["mean_characters"] == pytest.approx(280, abs=15)

    (tmp_path / f"{CORPORA[0]}.jsonl.xz").unlink()
    with pytest.raises(DatasetError, match=f"expected the corpus file {CORPORA[0]}"):
        drawn_texts(tmp_path, characters, 40, 10)


def test_texts_of_a_large_file_are_unlike_one_another_and_evenly_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps({"text": text}) + "\n" for text in made_up(300, 12, 3)), "utf-8")
    monkeypatch.setattr(benchmarks.texts, "OWN", own)
    monkeypatch.setattr(benchmarks.texts, "ROW_TEXTS", 200)
    rows = list(unique_rows(1000, characters))
    assert len(set(rows)) == 1000
    lengths = [statistics.mean(characters(rows[start : start + 200])) for start in range(0, 1000, 200)]
    assert lengths == pytest.approx([25] * 5, abs=1.5) and len(set(lengths)) == 1
    mean = round(lengths[0], 1)
    assert row_facts(1000, characters) == {"source": ["own.jsonl"], "mean_tokens": mean, "mean_characters": mean}
    write_rows(tmp_path / "rows.csv", rows)
    table = open_tables([str(tmp_path / "rows.csv")], ReadOptions())
    assert table.text_column == "评论" and sum(1 for _ in table) == 1000
