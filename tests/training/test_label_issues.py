"""Labels that out-of-fold predictions contradict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sentiment.taxonomy import Taxonomy
from training.label_issues import label_issues, main, started_from
from training.metrics import UNKNOWN
from training.repeat import over_folds
from training.run import Sources, Start
from training.seen import keep_seen, read_seen, text_hash
from training.train import Recipe

if TYPE_CHECKING:
    from conftest import TinyRun

COUNT = 200


@pytest.fixture
def kept(taxonomy: Taxonomy) -> dict[str, Any]:
    """Out-of-fold answers that are right about all texts; every other one is a complaint about the seats."""
    rng = np.random.default_rng(3)
    odd = np.arange(COUNT) % 2 == 1
    size, seat = len(taxonomy.keys), taxonomy.index["seating"]
    sure = rng.uniform(2, 4, COUNT)
    sure[[7, 9, 20]] = 5  # confident learning believes a model only where it is surer than on average

    def spread(gold: Any, classes: int) -> Any:
        return np.eye(classes)[gold] * sure[:, None]

    mention = -np.tile(sure[:, None], (1, size))
    mention[odd, seat] *= -1
    gold_mention, gold_polarity = np.zeros((COUNT, size), int), np.full((COUNT, size), UNKNOWN)
    gold_mention[odd, seat] = 1
    negative = np.where(np.arange(COUNT) % 4 == 1, 2, 0)
    gold_polarity[odd, seat] = negative[odd]
    polarity = np.zeros((COUNT, size, 3))
    polarity[:, seat] = spread(negative, 3)
    return {
        "ids": np.array([f"t{i}" for i in range(COUNT)]),
        "texts": np.array([f"第{i}条" for i in range(COUNT)]),
        "mention": mention, "polarity": polarity, "overall": spread(negative, 3),
        "intent": spread(odd.astype(int), len(taxonomy.intents)), "escalation": -sure,
        "gold_mention": gold_mention, "gold_polarity": gold_polarity, "gold_overall": negative.copy(),
        "gold_intent": odd.astype(int), "gold_escalation": np.zeros(COUNT, int),
    }  # fmt: skip


def test_label_issues_finds_what_was_put_in(kept: dict[str, Any], taxonomy: Taxonomy) -> None:
    assert label_issues(kept, taxonomy) == []
    seat = taxonomy.index["seating"]
    kept["gold_mention"][7, seat], kept["gold_polarity"][7, seat] = 0, UNKNOWN
    kept["gold_polarity"][9, seat] = 0
    kept["gold_intent"][20] = 1
    kept["gold_overall"][30] = UNKNOWN  # nobody's label cannot be wrong
    found = label_issues(kept, taxonomy)
    told = {(issue["id"], issue["label"], issue["given"], issue["proposed"]) for issue in found}
    assert told == {
        ("t7", "seating", "none", "mentioned"),
        ("t9", "seating", "positive", "negative"),
        ("t20", "intent", "complaint", "review"),
    }
    assert [issue["quality"] for issue in found] == sorted(issue["quality"] for issue in found)
    assert all(issue["quality"] < 0.2 and issue["text"] == f"第{issue['row']}条" for issue in found)


def test_label_issues_reads_what_a_cross_validation_left(
    tiny_run: TinyRun, tmp_path: Path, sample_texts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:48]
    labelled = tmp_path / "labelled.jsonl"
    rows = [
        {
            "id": str(i),
            "text": text,
            "overall": ("positive", "negative")[i % 2],
            "labels": [{"dimension": "seating", "sentiment": "negative"}] if i % 2 else [],
        }
        for i, text in enumerate(texts)
    ]
    labelled.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    recipe = Recipe(epochs=0.5, batch_size=8, max_tokens=48)
    over_folds(Sources(data=(labelled,)), Start(warm_start=tiny_run.folder), tmp_path / "folds", recipe, 2)
    assert main([str(tmp_path / "folds"), "-o", str(tmp_path / "issues.jsonl")]) == 0
    told = capsys.readouterr().err
    assert f"labels of {len(texts)} texts in doubt" in told
    assert f"the folds began with the trained checkpoint {tiny_run.folder.name}" in told and "--base offline" in told
    first, second = (read_seen(tmp_path / "folds" / f"fold-{number}") for number in (1, 2))
    assert first and second and not first & second  # what `seen_by_all` goes by
    for line in (tmp_path / "issues.jsonl").read_text("utf-8").splitlines():
        issue = json.loads(line)
        assert issue["text"] == texts[issue["row"]] and issue["id"] == str(issue["row"])
        assert issue["given"] != issue["proposed"]
    assert main([str(tmp_path), "-o", str(tmp_path / "x.jsonl")]) == 2
    assert "expected out_of_fold.npz in" in capsys.readouterr().err


def folds(folder: Path, kept: dict[str, Any], start: dict[str, Any] | None, before: list[str], run: TinyRun) -> Path:
    """What a cross-validation over two folds leaves, of whose texts `before` were learnt before it."""
    texts = [str(text) for text in kept["texts"]]
    for number in range(2):
        part = Path(shutil.copytree(run.folder, folder / f"fold-{number + 1}"))
        keep_seen(part, [text_hash(text) for text in [*texts[number::2], *before]])
        (part / "metrics.json").write_text(json.dumps({} if start is None else {"start": start}), "utf-8")
    np.savez_compressed(folder / "out_of_fold.npz", **kept)
    return folder


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ({"base": "offline", "warm_start": None}, None),
        ({"base": "hfl/chinese-macbert-base", "warm_start": None}, None),
        ({"base": "embedded", "warm_start": None}, "embedded"),
        ({"base": "embedded", "warm_start": "mine"}, "mine"),
        ({"base": "offline", "warm_start": "mine"}, "mine"),
        (None, ""),
    ],
)
def test_label_issues_tells_a_trained_start_from_new_heads(
    kept: dict[str, Any], tiny_run: TinyRun, tmp_path: Path, start: dict[str, Any] | None, name: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = folds(tmp_path / "folds", kept, start, [], tiny_run)
    assert started_from(folder) == name
    assert main([str(folder), "-o", str(tmp_path / "issues.jsonl")]) == 0
    assert ("the folds began" in capsys.readouterr().err) == (name is not None)


def test_label_issues_leaves_out_texts_learnt_before_the_folds_and_refuses_if_all_were(
    kept: dict[str, Any], tiny_run: TinyRun, taxonomy: Taxonomy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept["gold_intent"][[20, 31]] = 1, 0
    kept["intent"][31] = np.eye(len(taxonomy.intents))[1] * 5
    texts, start = [str(text) for text in kept["texts"]], {"base": "embedded", "warm_start": "mine"}
    out = tmp_path / "issues.jsonl"

    def rows() -> list[int]:
        return [json.loads(line)["row"] for line in out.read_text("utf-8").splitlines()]

    assert main([str(folds(tmp_path / "clean", kept, start, [], tiny_run)), "-o", str(out)]) == 0
    assert sorted(rows()) == [20, 31]
    assert main([str(folds(tmp_path / "partly", kept, start, texts[:30], tiny_run)), "-o", str(out)]) == 0
    assert rows() == [31]
    assert f"30 of {COUNT} texts had been learnt before the folds: left out" in capsys.readouterr().err
    out.unlink()
    assert main([str(folds(tmp_path / "all", kept, start, texts, tiny_run)), "-o", str(out)]) == 2
    assert f"found all {COUNT} among what the folds began with" in capsys.readouterr().err and not out.exists()
