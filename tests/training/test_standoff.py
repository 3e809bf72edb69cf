from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from sentiment.taxonomy import Taxonomy
from training.corpora import HELD_OUT_FILES
from training.example import DatasetError, Example
from training.labelled_files import read_labelled
from training.run import Sources, gather
from training.standoff import main, read_standoff


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def kept(text: str) -> bool:
    return int(hashlib.sha1(text.encode()).hexdigest()[:8], 16) % 5 == 0


HELD = next(text for text in (f"外卖第{i}次洒了" for i in range(99)) if kept(text))
TEXTS = ["座椅太硬，坐得腰疼", "電影好看 😊", "　全角，空格　"]


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    folder = tmp_path / "corpora"
    folder.mkdir()
    rows = {"film_douban": TEXTS, "senti_waimai_10k": [HELD, "外卖还行"]}
    for name in {*HELD_OUT_FILES, *rows}:
        with lzma.open(folder / f"{name}.jsonl.xz", "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in rows.get(name, []))
    return folder


def standoff(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


def row(text: str, corpus: str = "film_douban", **more: Any) -> dict[str, Any]:
    return {"sha256": digest(text), "corpus": corpus, "labels": [], **more}


def test_standoff_rebuilds_text_and_labels(tmp_path: Path, corpora: Path, taxonomy: Taxonomy) -> None:
    labels = [
        {"dimension": "seating", "sentiment": "negative", "start": 5, "end": 9},
        {"dimension": "film", "sentiment": "neutral"},
    ]
    path = standoff(
        tmp_path,
        row(
            TEXTS[0],
            labels=labels,
            overall="negative",
            intent="review",
            escalation=False,
            annotated=["seating", "price"],
        ),
        row(TEXTS[1], rating=4),
        row(TEXTS[2]),
    )
    found, missing = read_standoff([path], corpora, taxonomy, weight=0.7)
    assert missing == 0
    by_text = {example.text: example for example in found}
    assert set(by_text) == set(TEXTS)
    assert by_text[TEXTS[0]] == Example(
        TEXTS[0], {"seating": ("negative", 5, 9), "film": ("neutral", -1, -1)}, frozenset({"seating", "price", "film"}),
        "negative", "review", False, None, digest(TEXTS[0]), "film_douban", "", "film_douban", 0.7,
    )  # fmt: skip
    assert TEXTS[0][5:9] == "坐得腰疼"
    assert by_text[TEXTS[1]].annotated == frozenset(taxonomy.keys) and by_text[TEXTS[1]].rating == 4


def test_standoff_leaves_out_and_does_not_miss_the_later_test(
    tmp_path: Path, corpora: Path, taxonomy: Taxonomy
) -> None:
    path = standoff(tmp_path, row(HELD, "senti_waimai_10k"), row("外卖还行", "senti_waimai_10k"))
    found, missing = read_standoff([path], corpora, taxonomy)
    assert [example.text for example in found] == ["外卖还行"] and missing == 0


def test_standoff_counts_texts_that_are_not_found(tmp_path: Path, corpora: Path, taxonomy: Taxonomy) -> None:
    path = standoff(tmp_path, row("从来没有"), row(TEXTS[0]), row(TEXTS[1], "senti_waimai_10k"))
    found, missing = read_standoff([path], corpora, taxonomy)
    assert [example.text for example in found] == [TEXTS[0]] and missing == 2


def test_standoff_text_found_twice_is_one_example(tmp_path: Path, corpora: Path, taxonomy: Taxonomy) -> None:
    with lzma.open(corpora / "film_douban.jsonl.xz", "at", encoding="utf-8") as lines:
        lines.write(json.dumps({"text": TEXTS[0]}) + "\n")
    found, missing = read_standoff([standoff(tmp_path, row(TEXTS[0]))], corpora, taxonomy)
    assert len(found) == 1 and missing == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"sha256": "0"}], "row 2: expected sha256, corpus and labels, found ['sha256']"),
        (["{"], "row 2: expected one JSON object a line, found"),
        (["[]"], "row 2: expected a JSON object, found list"),
        ([row(TEXTS[0], labels=[{"dimension": "seats", "sentiment": "negative"}])], "row 2, column labels.dimension"),
        ([row(TEXTS[0], labels=[{"dimension": "film", "sentiment": "negative", "start": 3, "end": 10}])],
         "row 2, column labels.evidence (film): expected 0 <= start < end <= 9, found 3..10"),
        ([row("某某", "no_such_corpus")], "expected the corpus file no_such_corpus.jsonl.xz"),
    ],
)  # fmt: skip
def test_standoff_error_names_file_and_row(
    tmp_path: Path, corpora: Path, taxonomy: Taxonomy, rows: list[Any], said: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        read_standoff([standoff(tmp_path, row(TEXTS[1]), *rows)], corpora, taxonomy)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith("labels.jsonl") or "corpus file" in said


def test_standoff_files_of_the_project_hold_no_words(taxonomy: Taxonomy) -> None:
    """Offsets and hashes alone: the texts may not be passed on."""
    paths = sorted((Path(__file__).parents[2] / "data" / "standoff").glob("*.jsonl"))
    assert paths
    for path in paths:
        for line in path.read_text("utf-8").splitlines():
            entry = json.loads(line)
            assert len(entry["sha256"]) == 64 and not {"text", "evidence"} & {
                *entry,
                *(k for x in entry["labels"] for k in x),
            }
            assert line.isascii()
            assert all(x["dimension"] in taxonomy.index and 0 <= x["start"] < x["end"] for x in entry["labels"])


def test_standoff_labels_replace_those_of_the_same_text_elsewhere(
    tmp_path: Path, corpora: Path, taxonomy: Taxonomy
) -> None:
    data = tmp_path / "data.jsonl"
    others = [{"text": TEXTS[0], "overall": "positive"}, {"text": "停车场太远", "overall": "negative"}]
    data.write_text("\n".join(json.dumps(other) for other in others), "utf-8")
    path = standoff(tmp_path, row(TEXTS[0], overall="negative"))
    labelled = gather(Sources(data=(data,), standoff=(path,), corpora=corpora), taxonomy)
    assert {example.text: example.overall for example in labelled} == {"停车场太远": "negative", TEXTS[0]: "negative"}
    assert len(labelled) == 2


def test_standoff_command_writes_what_training_reads(
    tmp_path: Path, corpora: Path, taxonomy: Taxonomy, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [
        {"dimension": "seating", "sentiment": "negative", "start": 5, "end": 9},
        {"dimension": "film", "sentiment": "neutral"},
    ]
    path = standoff(
        tmp_path,
        row(TEXTS[0], labels=labels, overall="negative", intent="review", escalation=False),
        row(TEXTS[1], labels=[], annotated=["film", "staff"]),
        row(TEXTS[2]),
        row("从来没有"),
    )
    out = tmp_path / "runs" / "rebuilt.jsonl"
    assert main([str(path), "--corpora", str(corpora), "-o", str(out)]) == 0
    assert "3 texts; 1 rows have no text" in capsys.readouterr().out
    by_text = {example.text: example for example in read_labelled([out], taxonomy)}
    for example in read_standoff([path], corpora, taxonomy)[0]:
        again = by_text.pop(example.text)
        for name in ("labels", "annotated", "overall", "intent", "escalation", "id", "source"):
            assert getattr(again, name) == getattr(example, name), name
    assert not by_text
    assert main([str(tmp_path / "nowhere.jsonl"), "--corpora", str(corpora), "-o", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
