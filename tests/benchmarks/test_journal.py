from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks.journal as journal_module
from benchmarks.journal import BESIDE, Journal, code_hash, identity
from sentiment.checkpoint import load_checkpoint

FACTS = {"hash": "00", "texts": 20}


def test_journal_measures_each_name_once_over_sittings(tmp_path: Path) -> None:
    path, asked = tmp_path / "work" / "rounds.jsonl", []

    def measured(value: object) -> object:
        asked.append(value)
        return value

    first = Journal(path, FACTS)
    assert first.once("a", lambda: measured(1.5)) == 1.5 == first.once("a", lambda: measured(9))
    assert (first.once("长文", lambda: measured({"total": 2})), first.sittings) == ({"total": 2}, 1)
    later = Journal(path, FACTS)
    assert later.once("a", lambda: measured(9)) == 1.5 and later.once("长文", lambda: measured(9)) == {"total": 2}
    assert later.once("b", lambda: measured(3)) == 3 and later.sittings == 2
    assert Journal(path, FACTS).sittings == 3
    assert asked == [1.5, {"total": 2}, 3]
    later.close()
    assert not path.exists()


def test_journal_of_other_facts_is_put_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rounds.jsonl"
    Journal(path, FACTS).once("a", lambda: 1)
    before = path.read_text("utf-8")
    other = Journal(path, FACTS | {"texts": 40, "code": "ab"})
    assert other.once("a", lambda: 2) == 2 and other.sittings == 1
    assert "expected the same code, texts, found others; begun anew" in capsys.readouterr().err
    assert (tmp_path / "rounds.jsonl.old").read_text("utf-8") == before
    Journal(path, FACTS | {"texts": 40, "code": "ab"})
    assert "1 values of an earlier sitting" in capsys.readouterr().err
    for _ in range(2):  # what was put aside stays: those may be hours
        Journal(path, FACTS | {"texts": 41})
        Journal(path, FACTS | {"texts": 42})
    assert (tmp_path / "rounds.jsonl.old").read_text("utf-8") == before
    assert f"what was measured is in {tmp_path / 'rounds.jsonl.old5'}" in capsys.readouterr().err


def test_journal_survives_an_interruption_of_its_own_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rounds.jsonl"
    Journal(path, FACTS).once("a", lambda: 1)

    def cut(self: Path, text: str, *_: str) -> None:
        self.write_bytes(text.encode()[:5])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", cut)
        with pytest.raises(KeyboardInterrupt):
            Journal(path, FACTS)
    assert Journal(path, FACTS).get("a") == 1 and list(tmp_path.iterdir()) == [path]


def test_journal_code_is_that_of_the_package_and_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "ROOT", tmp_path)
    for name in ("sentiment/engine.py", "sentiment/tables/base.py", "benchmarks/speed.py", "benchmarks/levers.py",
                 "benchmarks/journal.py", "benchmarks/rounds.py", "training/int8.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a = 1\n", "utf-8")
    found = [code_hash(["speed"])]
    (tmp_path / "benchmarks" / "levers.py").write_text("a = 2\n", "utf-8")
    assert code_hash(["speed"]) == found[0]  # another benchmark's
    for name in ("sentiment/engine.py", "sentiment/tables/base.py", "benchmarks/speed.py", "benchmarks/rounds.py"):
        (tmp_path / name).write_text("a = 2\n", "utf-8")
        found.append(code_hash(["speed"]))
    found.append(code_hash(["speed", "training/int8"]))
    (tmp_path / "training" / "int8.py").write_text("a = 2\n", "utf-8")
    assert code_hash(["speed"]) == found[-2]
    found.append(code_hash(["speed", "training/int8"]))
    assert len(set(found)) == len(found)


def test_journal_models_with_other_scales_are_others(tiny_checkpoint: Path, int8_checkpoint: Path) -> None:
    plain, packed = (identity(load_checkpoint(folder)) for folder in (tiny_checkpoint, int8_checkpoint))
    assert plain["hash"] == packed["hash"] and plain["scales"] == "" and len(packed["scales"]) == 8


def test_journal_keeps_the_circumstances_of_every_sitting(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    assert Journal(path, FACTS).circumstances({"busy": True}) == [{"busy": True}]
    Journal(path, FACTS)  # ended before it had looked
    assert Journal(path, FACTS).circumstances({"busy": False}) == [{"busy": True}, {"busy": False}]


def test_journal_tells_of_the_task_beside_which_others_worked_most(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rounds.jsonl", FACTS)
    for name, load in (("a", 0.1), ("b", 0.35), ("c", None)):
        journal.once(f"{BESIDE}{name}", lambda load=load: load)
    later = Journal(tmp_path / "rounds.jsonl", FACTS).circumstances({"busy": False})
    assert later == [{"busy": False}, {"during": "b", "other_load": 0.35, "busy": True}]


def test_journal_drops_a_line_cut_in_two_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    journal = Journal(path, FACTS)
    journal.once("a", lambda: 1)
    journal.once("b", lambda: 2)
    path.write_text(path.read_text("utf-8")[:-6], "utf-8")
    later = Journal(path, FACTS)
    assert later.once("a", lambda: 8) == 1 and later.once("b", lambda: 3) == 3
    assert Journal(path, FACTS).once("b", lambda: 4) == 3


def test_journal_without_a_path_keeps_nothing() -> None:
    journal = Journal(None, FACTS)
    assert journal.once("a", lambda: 1) == 1 == journal.once("a", lambda: 2)
    journal.close()
