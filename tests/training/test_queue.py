"""What to label next: the unsure, the different, each once; and the verb."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from word_scorer import score_file

from sentiment.cli import main
from sentiment.tables import Reject
from sentiment.tables.scored import ScoredText
from training.queue import Chosen, choose, doubts, uncertainty


def one(number: int, text: str, overall: float = 0.9, **more: float) -> ScoredText:
    confidence = {"overall": overall, "intent": 0.99, "escalation": 0.99, **more}
    return ScoredText("f", number, str(number), text, "ok", confidence=confidence)


def varied(count: int) -> list[ScoredText]:
    """Texts that share next to nothing, the later the surer."""
    return [
        one(i, "".join(chr(0x4E00 + 37 * i + 5 * k) for k in range(12)), 0.4 + 0.5 * i / count) for i in range(count)
    ]


def test_queue_doubts_ask_about_every_question() -> None:
    scored = ScoredText(
        "f", 1, "1", "座椅", "ok", confidence={"overall": 0.75, "intent": 0.5, "seating": 0.25, "price": 1.0}
    )
    assert doubts(scored) == (0.25, 0.5, 0.0, 0.75)
    shares = {"seating": [0.9, 0.0, 0.0], "sound": [0.25, 0.0, 0.25]}
    scored = ScoredText("f", 1, "1", "座椅", "ok", confidence={"seating": 0.9}, probabilities=shares)
    assert doubts(scored)[3] == pytest.approx(0.5)  # sound was almost called


def test_queue_gives_every_question_its_share() -> None:
    table = np.array([[0.6, 0, 0, 0.1], [0.1, 0.01, 0.3, 0], [0.2, 0.02, 0, 0.9], [0.3, 0, 0, 0.2], [0, 0, 0, 0]])
    unsure = uncertainty(table)
    # First at one question, in the middle at all the others: before the one that is third at two.
    assert unsure[4] == 0 and min(unsure[:3]) > unsure[3] > 0


def test_queue_takes_the_most_uncertain_first_and_near_duplicates_once() -> None:
    texts = varied(40)
    twin = one(99, texts[0].text + "！", 0.41)
    chosen = choose([*texts, twin, texts[5], Reject("f", 9, "ragged", "x")], 10)
    numbers = [int(text.id) for text in chosen.texts]
    assert len(numbers) == len(set(numbers)) == 10 and not {0, 99} <= set(numbers)
    assert (chosen.read, chosen.rejected, chosen.repeated, chosen.near) == (42, 1, 1, 1)
    sure = [text.confidence["overall"] for text in chosen.texts]
    assert sure == sorted(sure)
    assert [text.id for text in choose([*texts, twin], 10).texts] == [text.id for text in chosen.texts]


def test_queue_looks_only_at_the_most_uncertain() -> None:
    assert max(int(text.id) for text in choose(varied(100), 5).texts) < 50


def test_queue_chooses_from_every_kind() -> None:
    """Thirty texts about seats are as unsure as three each about two other things: none is left out."""
    kinds = {"座椅太硬坐得腰疼背也酸": 30, "爆米花又软又甜不新鲜了": 3, "停车场难找还要收停车费": 3}
    ends = [chr(0x5000 + 11 * i) * 5 for i in range(36)]
    texts = [one(i, kind + ends.pop()) for kind, count in kinds.items() for i in range(count)]
    found = {text.text[:3] for text in choose(texts, 9).texts}
    assert found == {"座椅太", "爆米花", "停车场"}


def test_queue_leaves_out_what_is_known_and_what_has_no_score() -> None:
    texts = varied(6)
    blank = ScoredText("f", 7, "7", "", "empty")
    chosen = choose([*texts, blank], 10, known=[texts[0].text, texts[1].text + "。。"])
    assert {text.id for text in chosen.texts} == {"2", "3", "4", "5"}
    assert (chosen.unscored, chosen.repeated, chosen.near) == (1, 1, 1)
    assert choose([blank], 3).texts == [] and choose([], 3).texts == []


def test_queue_looks_further_where_there_are_many_near_duplicates() -> None:
    twins = [one(i, "座椅太硬坐得腰疼下次不来了" + "！" * i, 0.2 + i / 1000) for i in range(60)]
    chosen = choose([*twins, *varied(6)], 5)
    assert len(chosen.texts) == 5 and sum("座椅" in text.text for text in chosen.texts) == 1


def test_queue_of_equal_vectors_is_filled_up() -> None:
    """As many clusters as wanted cannot be found; as many texts can."""
    chosen = choose([one(i, chr(0x4E00 + i)) for i in range(12)], 9)
    assert len(chosen.texts) == 9


def test_queue_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump, known = tmp_path / "dump.csv", tmp_path / "known.jsonl"
    with dump.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["评论"])
        writer.writerows([f"😀第{i}次来，座椅坏，{chr(0x4E00 + 40 * i) * 5} {i}"] for i in range(40, 90))
        writer.writerow([""])
    scored = score_file(dump, tmp_path / "scored.csv", lang="zh")
    known.write_text(json.dumps({"text": f"😀第40次来，座椅坏，{chr(0x4E00 + 1600) * 5} 40"}) + "\n", "utf-8")
    tasks, config = tmp_path / "tasks.json", tmp_path / "labelling.xml"
    command = ["queue", str(scored), "-n", "8", "-o", str(tasks), "--config", str(config), "--known", str(known)]

    def run(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*command, *more])
        return int(ended.value.code or 0), capsys.readouterr().err

    code, said = run("--lang", "zh")
    assert code == 0 and "8 of 51 texts; left out: 1 without a score, 1 repeated or known" in said
    found = json.loads(tasks.read_text("utf-8"))
    assert len(found) == 8 and all(one["data"]["text"].startswith("😀第") for one in found)
    assert found[0]["predictions"][0]["result"][0]["value"]["labels"] == ["座椅视野"]
    assert "座椅视野" in config.read_text("utf-8")
    assert run()[0] == 2 and run("--overwrite")[0] == 0
    code, said = run("--overwrite", "--text-col", "nothing")
    assert code == 2 and said.count("\n") == 1
    command[1] = str(dump)
    code, said = run("--overwrite")
    assert code == 2 and "expected a file that `cinesent score` wrote" in said


def test_queue_command_hands_seed_and_offsets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump, tasks = tmp_path / "dump.csv", tmp_path / "tasks.json"
    dump.write_text("评论\n😀座椅坏\n", "utf-8")
    scored = score_file(dump, tmp_path / "scored.csv")
    seeds: list[int] = []

    def spy(files: Any, count: int, known: list[str], seed: int) -> Chosen:
        seeds.append(seed)
        return choose(files, count, known, seed)

    monkeypatch.setattr("training.queue.choose", spy)
    places = []
    for options in ([], ["--offsets", "utf16", "--seed", "5"]):
        with pytest.raises(SystemExit) as ended:
            main(["queue", str(scored), "-o", str(tasks), "--overwrite", *options])
        assert not ended.value.code
        ((found,),) = (json.loads(tasks.read_text("utf-8")),)
        value = found["predictions"][0]["result"][0]["value"]
        places.append((value["start"], value["end"]))
    assert seeds == [0, 5]
    assert places == [(1, 4), (2, 5)]  # the emoji is one character, or two units of UTF-16


def test_queue_of_texts_without_any_doubt() -> None:
    sure = [replace(text, confidence={"overall": 1.0}) for text in varied(30)]
    assert len(choose(sure, 10).texts) == 10
