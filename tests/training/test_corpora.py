from __future__ import annotations

import hashlib
import json
import lzma
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sentiment.taxonomy import Taxonomy
from training.corpora import HELD_OUT_FILES, READERS, held_out_texts, in_held_out_rows, read_corpus, read_rows
from training.example import DatasetError, Example


def kept(text: str) -> bool:
    """The rule of the later test, written down a second time."""
    return int(hashlib.sha1(text.encode()).hexdigest()[:8], 16) % 5 == 0


# Texts of both kinds, found by the rule.
HELD = [text for text in (f"外卖送得很慢，第{i}次了" for i in range(200)) if kept(text)]
FREE = [text for text in (f"外卖送得很慢，第{i}次了" for i in range(200)) if not kept(text)]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    with lzma.open(folder / f"{name}.jsonl.xz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """A folder with the three polarity sets."""
    for name in HELD_OUT_FILES:
        write(tmp_path, name, [{"text": f"{text}{name[-1]}", "label": 1} for text in FREE[:3]])
    write(
        tmp_path, "senti_waimai_10k", [{"text": text, "label": i % 2} for i, text in enumerate(HELD[:20] + FREE[:60])]
    )
    return tmp_path


Read = Callable[..., list[Example]]


@pytest.fixture
def read(corpora: Path, taxonomy: Taxonomy) -> Read:
    def run(name: str, rows: list[dict[str, Any]] | None = None, **options: Any) -> list[Example]:
        if rows is not None:
            write(corpora, name, rows)
        return read_corpus(corpora, name, taxonomy, **options)

    return run


def test_corpora_held_out_rows_are_never_returned(corpora: Path, read: Read) -> None:
    texts = {example.text for example in read("senti_waimai_10k")}
    assert texts == set(FREE[:60])
    assert set(HELD[:20]) <= held_out_texts(corpora) and held_out_texts(corpora).isdisjoint(FREE)


def test_corpora_held_out_texts_are_banned_wherever_they_appear(read: Read) -> None:
    rows = [{"text": text, "rating": 5} for text in (*HELD[:5], *FREE[:5])]
    assert {example.text for example in read("film_douban", rows)} == set(FREE[:5])


def test_corpora_held_out_texts_are_read_once_a_folder(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.corpora as module

    opened: list[str] = []

    def counting(folder: Path, name: str) -> Iterator[dict[str, Any]]:
        opened.append(name)
        return read_rows(folder, name)

    monkeypatch.setattr(module, "read_rows", counting)
    first = held_out_texts(corpora)
    assert sorted(opened) == sorted(HELD_OUT_FILES)
    assert held_out_texts(corpora) is first and len(opened) == len(HELD_OUT_FILES)


def test_corpora_excluded_and_unfit_texts_are_left_out(read: Read) -> None:
    texts = ["好", "很好", "好" * 200, "好" * 201, "不要"]
    found = read("film_maoyan", [{"text": text, "rating": 5} for text in texts], exclude=["不要"])
    assert {example.text for example in found} == {"很好", "好" * 200}
    assert {e.text for e in read("film_maoyan", max_characters=2)} == {"很好", "不要"}


def test_corpora_film_stars_become_overall_and_rating(read: Read) -> None:
    rows = [{"text": f"第{stars}颗星", "rating": stars} for stars in (1, 2, 3, 4, 5)]
    found = {
        e.rating: e for e in read("film_douban", [*rows, {"text": "没有星"}, {"text": "没有星了", "rating": None}])
    }
    assert {rating: e.overall for rating, e in found.items()} == {
        1: "negative", 2: "negative", 3: "neutral", 4: "positive", 5: "positive",
    }  # fmt: skip
    assert all(not e.labels and not e.annotated for e in found.values())


def test_corpora_binary_label_is_overall_alone(read: Read) -> None:
    found = {e.text: e for e in read("senti_waimai_10k", weight=0.3)}
    first = found[FREE[0]]
    assert first == Example(
        FREE[0],
        overall="negative",
        id=hashlib.sha256(FREE[0].encode()).hexdigest(),
        source="senti_waimai_10k",
        weight=0.3,
    )
    assert found[FREE[1]].overall == "positive"


def test_corpora_ai_challenger_judges_its_categories(read: Read) -> None:
    aspects = [
        {"category": "service_wait_time", "polarity": "negative"},
        {"category": "price_level", "polarity": "positive"},
        {"category": "dish_portion", "polarity": "positive"},
        {"category": "dish_taste", "polarity": None},
    ]
    rows = [{"text": "排队久，价格便宜", "aspects": aspects}, {"text": "没有标注", "aspects": []}]
    (found,) = read("absa_aichallenger_pieces", rows)
    assert found.labels == {"waiting": ("negative", -1, -1), "price": ("positive", -1, -1)}
    assert found.annotated == {
        "waiting", "staff", "parking", "price", "promotion", "environment", "cleanliness", "concessions", "location",
    }  # fmt: skip


def test_corpora_dimabsa_aspects_that_disagree_are_neutral(read: Read) -> None:
    aspects = [
        {"category": "FOOD#QUALITY", "polarity": "positive"},
        {"category": "DRINKS#QUALITY", "polarity": "negative"},
        {"category": "SERVICE#GENERAL", "polarity": "negative"},
        {"category": "SERVICE#GENERAL", "polarity": "negative"},
        {"category": "RESTAURANT#MISC", "polarity": "negative"},
    ]
    (found,) = read("absa_dimabsa_restaurant_zh", [{"text": "菜好吃，饮料差，服务差", "aspects": aspects}])
    assert found.labels == {"concessions": ("neutral", -1, -1), "staff": ("negative", -1, -1)}
    assert found.annotated == {"staff", "environment", "price", "location", "concessions"}


def test_corpora_dianping_knows_only_what_is_there_and_where(read: Read) -> None:
    aspects = [
        {"term": "服务", "opinion": "很热情", "polarity": "positive"},
        {"term": "味道", "opinion": "不在文中", "polarity": "negative"},
        {"term": "老板娘", "opinion": "很热情", "polarity": "positive"},
    ]
    (found,) = read("absa_zhang_dianping_aste", [{"text": "服务很热情，味道差", "aspects": aspects}])
    assert found.labels == {"staff": ("positive", 2, 5), "concessions": ("negative", -1, -1)}
    assert found.annotated == {"staff", "concessions"}


def test_corpora_openrice_says_overall_where_all_agree(read: Read) -> None:
    def row(text: str, *polarities: str) -> dict[str, Any]:
        return {"text": text, "aspects": [{"category": "service", "polarity": p} for p in polarities]}

    rows = [
        row("都好", "positive", "positive"),
        row("有好有坏", "positive", "negative"),
        row("都差", "negative"),
        row("没说"),
    ]
    found = {e.text: e for e in read("reviews_openrice_aspect_stars", rows)}
    assert {text: e.overall for text, e in found.items()} == {"都好": "positive", "都差": "negative"}
    assert all(not e.annotated and not e.labels for e in found.values())


def test_corpora_keys_that_a_taxonomy_lacks_are_dropped(
    corpora: Path, own_taxonomy: Taxonomy, taxonomy: Taxonomy
) -> None:
    aspects = [{"category": "SERVICE#GENERAL", "polarity": "negative"}]
    write(corpora, "absa_dimabsa_restaurant_zh", [{"text": "服务差", "aspects": aspects}])
    (ours,) = read_corpus(corpora, "absa_dimabsa_restaurant_zh", taxonomy)
    (other,) = read_corpus(corpora, "absa_dimabsa_restaurant_zh", own_taxonomy)
    assert ours.labels and ours.annotated and not other.labels and not other.annotated


def test_corpora_limit_draws_classes_evenly_by_seed(read: Read) -> None:
    rows = [{"text": f"第{i}部", "rating": 5 if i % 10 else 1} for i in range(300)]
    first = read("film_douban", rows, limit=40, seed=1)
    assert len(first) == 40 and Counter(e.overall for e in first)["negative"] >= 19
    assert [e.text for e in read("film_douban", limit=40, seed=1)] == [e.text for e in first]
    assert [e.text for e in read("film_douban", limit=40, seed=2)] != [e.text for e in first]
    assert len(read("film_douban")) == 300


def test_corpora_every_reader_names_dimensions_of_the_packaged_taxonomy(taxonomy: Taxonomy) -> None:
    import training.corpora as module

    tables = (module.AI_CHALLENGER, module.DIM_ABSA, module.DIANPING_TERMS, module.OPENRICE)
    assert {key for table in tables for key in table.values()} <= set(taxonomy.keys)
    assert set(HELD_OUT_FILES) <= set(READERS)


def test_corpora_missing_file_is_one_clear_line(read: Read) -> None:
    with pytest.raises(
        DatasetError, match=r"expected the corpus file film_douban\.jsonl\.xz in --corpora, found no such"
    ):
        read("film_douban")
    with pytest.raises(DatasetError, match=r"expected one of absa_aichallenger_pieces, .* found 'imdb'"):
        read("imdb")


def test_corpora_are_not_read_without_the_sets_of_the_later_test(tmp_path: Path, taxonomy: Taxonomy) -> None:
    """Nobody could tell which texts are kept for it."""
    write(tmp_path, "film_maoyan", [{"text": "很好", "rating": 5}])
    assert [row["text"] for row in read_rows(tmp_path, "film_maoyan")] == ["很好"]
    with pytest.raises(DatasetError, match=r"senti_\w+\.jsonl\.xz"):
        read_corpus(tmp_path, "film_maoyan", taxonomy)


def test_corpora_held_out_rows_follow_the_hash_rule() -> None:
    rng = random.Random(0)
    texts = ["".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(rng.randint(0, 20))) for _ in range(500)]
    for text in texts:
        assert in_held_out_rows(text) == kept(text)
    assert 60 < sum(map(in_held_out_rows, texts)) < 140
