"""The levers small: a random checkpoint, few texts; every side has to give the packaged way's records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

from benchmarks import levers
from benchmarks.depths import blocks, depths_beside, inference_seconds, random_engine, window_blocks
from benchmarks.engines import engine_on
from benchmarks.graphs import Nodes
from benchmarks.lever_figures import compared, differences, padding, records, surprises, verdict
from benchmarks.lever_list import LEVERS, PACKAGED
from benchmarks.levers import choices_of, takes_part
from benchmarks.runtimes import runtime_of
from benchmarks.variants import (
    InOrder,
    OneByOne,
    Packed,
    Sorted,
    one_by_one,
)
from sentiment.checkpoint import Checkpoint
from sentiment.engine import OUTPUTS, Engine
from sentiment.runtimes import Choice
from tests.benchmarks.sides import windows
from training.lever_table import levers_block


def test_levers_padding_is_least_where_batches_are_sorted_or_packed(
    checkpoint: Checkpoint, engine: Engine, sample_texts: list[str]
) -> None:
    together = window_blocks(engine, sample_texts[:300])
    shares = [padding(kind(checkpoint, threads=1), together) for kind in (InOrder, Sorted, Engine, Packed)]
    assert shares[0] > 0.3 > shares[1] > shares[2] >= 0 and shares[3] < shares[1]
    assert padding(engine, [[[5] * 4, [5] * 4]]) == 0.0 and padding(engine, []) == 0.0
    # Two special tokens each: 4 of 12 are padding.
    assert padding(InOrder(checkpoint, threads=1), [[[5] * 4, []]]) == round(1 - 8 / 12, 4)


def test_levers_compare_rounds_and_judge() -> None:
    found = compared([1.0, 2.0, 4.0], [2.0, 3.0, 4.0])
    assert (found["ratio"], found["low"], found["high"]) == (1.5, 1.0, 2.0)
    # Not of the medians, 2 and 3: a round's two sides met the same hour.
    assert compared([1.0, 2.0, 4.0], [3.0, 2.2, 4.0])["ratio"] == 1.1
    sides = ((1.1, 1.3), (0.7, 0.9), (0.99, 1.02), (0.9, 1.1))
    fast, slow, even, wide = ({"low": low, "high": high} for low, high in sides)
    assert verdict([fast, even]) == "gains" and verdict([even, even]) == "even" and verdict([fast, slow]) == "mixed"
    assert verdict([slow, wide]) == "loses"
    assert verdict([even, wide]) == "undecided"


def test_levers_as_committed_follow_from_the_seconds_that_were_measured() -> None:
    found = json.loads((Path(levers.__file__).parent / "results" / "levers.json").read_text("utf-8"))
    measured = [one for entry in found["levers"] for one in entry["runtimes"].values() if "skipped" not in one]
    assert len(measured) >= 8 and len(found["depths"]) >= 3
    for one in [*measured, *found["depths"]]:
        parts = [one["short"], one["long"]]
        assert one["verdict"] == verdict(parts)
        for part in parts:
            assert compared(part["seconds"]["pulled"], part["seconds"]["released"]).items() <= part.items()


def test_levers_say_what_the_product_should_do_otherwise() -> None:
    def entry(used: bool, verdict: str, equal: bool = True) -> dict[str, Any]:
        return {"name": "x", "used": used, "runtimes": {"a": {"verdict": verdict, "records": {"equal": equal}}}}

    assert not surprises([entry(True, "gains"), entry(False, "loses"), entry(True, "even"), entry(False, "even")])
    assert not surprises([{"name": "x", "used": False, "runtimes": {"a": {"skipped": "no CPUs", "records": None}}}])
    assert surprises([entry(False, "gains")]) == ["x on a: gains, and is not used"]
    assert surprises([entry(True, "loses")]) == ["x on a: loses, and is used"]
    both = entry(True, "gains")
    both["runtimes"]["b"] = {"verdict": "loses", "records": {"equal": False}}
    assert surprises([both]) == ["x on b: loses, and is used", "x on b: its records are not those of the packaged way"]
    assert "not those" in surprises([entry(True, "gains", equal=False)])[0]


def test_levers_differences_are_seen(checkpoint: Checkpoint, engine: Engine, texts: list[str]) -> None:
    assert differences(checkpoint, engine, engine, texts)["equal"]

    class Off:
        def run(self, outputs: Sequence[str], feed: Any) -> Any:
            return [value + 1.0 for value in engine._session.run(outputs, feed)]

    found = differences(checkpoint, engine, engine_on(checkpoint, Off(), 1), texts)  # type: ignore[arg-type]
    assert not found["equal"] and found["changed_labels"] > 0 and found["largest_difference"] > 0.01


def test_levers_records_of_tokenising_are_the_pieces(checkpoint: Checkpoint, engine: Engine, texts: list[str]) -> None:
    single = one_by_one(engine)
    sides = {PACKAGED: engine, "one-by-one": single}
    found = records(checkpoint, sides, texts)
    assert list(found) == ["one-by-one"] and found["one-by-one"]["records"]["equal"]

    class Other(OneByOne):
        def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[Any]:
            return super().encode_batch([*texts[:-1], "好好"], add_special_tokens=add_special_tokens)

    single.tokenizer = Other(engine.tokenizer)  # type: ignore[assignment]
    assert not records(checkpoint, sides, [*texts, ""])["one-by-one"]["records"]["equal"]


def test_levers_depths_have_the_width_and_the_outputs_of_the_checkpoint(
    checkpoint: Checkpoint, engine: Engine, texts: list[str], tmp_path: Path
) -> None:
    assert depths_beside(checkpoint) == [12, 8, 6, 4, 2]
    deep = random_engine(checkpoint, 3, 1, tmp_path / "deep")
    assert Nodes(onnx.load(str(tmp_path / "deep" / "model.onnx"))).layers() == 3
    found = windows(engine, texts)
    for one, other in zip(engine.run(found), deep.run(found), strict=True):
        assert all(getattr(one, name).shape == getattr(other, name).shape for name in OUTPUTS)
    assert inference_seconds(deep, [found]) > 0


def test_levers_list_pulls_what_it_uses() -> None:
    """The packaged way is the side that `used` says."""
    assert len({lever.name for lever in LEVERS}) == len(LEVERS) == 9
    for lever in LEVERS:
        if PACKAGED in (lever.pulled, lever.released):
            assert lever.used == (lever.pulled == PACKAGED)


def test_levers_blocks_lose_nothing() -> None:
    assert list(blocks(range(5), 2)) == [[0, 1], [2, 3], [4]] and list(blocks([], 2)) == []


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


def test_levers_that_change_the_graph_are_measured_in_float32_and_others_as_a_plain_installation_runs() -> None:
    float32, int8 = (Choice(name, "1", "") for name in ("onnxruntime", "onnxruntime-int8"))
    for choices, others in (([float32], float32), ([float32, int8], int8)):
        assert [choice for choice in choices if takes_part(True, choice, choices)] == [float32]
        assert [choice for choice in choices if takes_part(False, choice, choices)] == [others]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_levers_command_measures_every_lever_and_goes_on_when_interrupted(
    tiny_checkpoint: Path, int8_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], precision: str,
) -> None:  # fmt: skip
    folder = int8_checkpoint if precision == "int8" else tiny_checkpoint
    own = tmp_path / "train.jsonl"
    lines = levers.OWN.read_text("utf-8").splitlines(keepends=True)
    own.write_text("".join(lines[:400]), "utf-8")
    monkeypatch.setattr("benchmarks.texts.OWN", own)
    monkeypatch.setattr("benchmarks.depths.DEPTHS", (3, 1))
    output = tmp_path / "levers.json"
    command = ["--model", str(folder), "--texts", "20", "--rounds", "2", "--compared", "8", "--threads", "1"]
    command += ["--busy", "--work", str(tmp_path / "work"), "--json", str(output)]
    with monkeypatch.context() as patch:
        patch.setattr(levers, "figures", interrupt)
        with pytest.raises(KeyboardInterrupt):
            levers.main(command)
    kept = (tmp_path / "work" / "rounds.jsonl").read_text("utf-8")
    assert levers.main(command) == 0  # with the rounds of the first sitting
    assert not list((tmp_path / "work").iterdir())
    found = json.loads(output.read_text("utf-8"))
    assert found["sittings"] == 2
    lines_kept = {entry["name"]: entry["value"] for line in kept.splitlines() if "name" in (entry := json.loads(line))}
    (first, *_) = found["levers"][0]["runtimes"]
    assert found["levers"][0]["runtimes"][first]["short"]["seconds"]["pulled"] == [
        round(lines_kept[f"round {number}, packaged on short, {first}"], 4) for number in (1, 2)
    ]
    entries = {entry["name"]: entry for entry in found["levers"]}
    assert list(entries) == [lever.name for lever in LEVERS] and found["trial"] and found["rounds"] == 2
    choices = choices_of(folder)
    names = [choice.name for choice in choices]
    assert found["runtimes"] == {choice.name: str(choice) for choice in choices}
    assert names[-1] == runtime_of(None, folder).name
    pinning, said = entries.pop("pinning")["runtimes"], capsys.readouterr().err
    assert "expected at least two threads" in pinning[names[-1]]["skipped"]
    assert f"pinned on {choices[-1]}: skipped, expected at least two threads" in said
    for entry in entries.values():
        assert list(entry["runtimes"]) == (names[:1] if entry["graph"] else names[-1:])
    for one in (one for entry in entries.values() for one in entry["runtimes"].values()):
        assert one["records"]["equal"] and one["verdict"] in ("gains", "even", "undecided", "loses", "mixed")
        for part in ("short", "long"):
            assert one[part]["low"] <= one[part]["ratio"] <= one[part]["high"]
            assert len(one[part]["seconds"]["pulled"]) == 2
    alone = entries["tokenising"]["alone"]["short"]["seconds"]["pulled"]
    assert len(alone) == 2 and "alone" not in entries["order"]
    portable = {name: entry["runtimes"]["onnxruntime"] for name, entry in entries.items() if entry["graph"]}
    assert portable["vocabulary"]["kept"] < portable["vocabulary"]["pieces"]
    assert portable["vocabulary"]["cut"]["memory_mb"] < portable["vocabulary"]["whole"]["memory_mb"]
    assert portable["packing"]["bound"]["short"] >= 1 and portable["attention"]["found_by_the_optimiser"]
    assert [name for name, entry in entries.items() if entry["graph"]] == ["packing", "vocabulary", "attention"]
    assert [(entry["layers"], entry["used"]) for entry in found["depths"]] == [(3, False), (2, True), (1, False)]
    own = found["depths"][1]["short"]
    assert own["ratio"] == own["low"] == own["high"] == 1.0
    # What it writes is what the table reads.
    assert "| 3 layers in place of 2 (inference alone" in levers_block(found)
    order = entries["order"]["runtimes"][first]["short"]["padding"]
    assert order["pulled"] < order["released"]


def test_levers_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--rounds", "1"], ["--texts", "5", "--json", "x"], ["--compared", "1", "--json", "x"]):
        with pytest.raises(SystemExit):
            levers.main(arguments)
        assert "expected" in capsys.readouterr().err
