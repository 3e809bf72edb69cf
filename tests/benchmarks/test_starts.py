from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import benchmarks.starts as starts_module
from benchmarks.memory import measure
from benchmarks.starts import (
    JOB,
    OURS,
    TEXT,
    cold_start,
    finished,
    large_job,
    longest,
    read_notes,
    sittings,
    starts,
    tenths,
)
from sentiment.parts import partial_folder

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_starts_tenths_compare_first_and_last_and_leave_loading_out() -> None:
    # 100 rows a block; the first takes 50 s of loading, then 1 s each, the last ten 2 s each.
    seen, now = [], 50.0
    for i in range(101):
        pace = 0.1 if i < 91 else 0.16
        seen.append({"sitting": 7.0, "at": now, "rows": 100 * (i + 1), "mb": 500.0 + i, "pace": pace})
        now += 1.0 if i < 90 else 2.0
    found = tenths(seen)
    assert found["first_tenth_rows_per_second"] == 100 and found["last_tenth_rows_per_second"] == 50
    assert found["last_over_first"] == 0.5 and found["rows_per_second"] == round(10_000 / 110, 1)
    assert found["pace_last_over_first"] == 0.625 and found["last_over_first_at_one_pace"] == 0.8
    assert found["judged_rows"] == 10_000
    assert found["resident_mb"] == [500.0 + 10 * i for i in range(1, 11)]


def test_starts_tenths_need_blocks() -> None:
    with pytest.raises(ValueError, match="expected at least 21 blocks to compare tenths, found 20"):
        tenths([{"sitting": 7.0, "at": float(i), "rows": i, "mb": 1.0, "pace": 0.1} for i in range(20)])


def test_starts_judge_the_longest_sitting_alone() -> None:
    def note(sitting: float, number: int, rows: int, **more: int) -> dict[str, float]:
        return {"sitting": sitting, "at": sitting + number, "rows": rows, "mb": 500.0, "pace": 0.1, **more}

    seen = [note(7.0, 0, 0), *(note(7.0, i, 100 * i) for i in range(1, 15))]
    seen += [note(9000.0, 0, 0), *(note(9000.0, 2 * (i - 14), 100 * i) for i in range(15, 61))]
    seen += [note(9000.0, 200, 6000, disk=5)]  # the output is written, no block is scored
    found = longest(seen)
    assert {entry["sitting"] for entry in found} == {9000.0} and len(found) == 46
    judged = tenths(found)
    assert judged["judged_rows"] == 4500 and judged["rows_per_second"] == 50 == judged["first_tenth_rows_per_second"]


def test_starts_sittings_add_up() -> None:
    seen = [
        {"sitting": 10.0, "at": 12.0, "rows": 0, "mb": 300.0, "peak": 305.0},
        {"sitting": 10.0, "at": 20.0, "rows": 5, "mb": 500.0, "peak": 700.0},  # more than after its blocks
        {"sitting": 90.0, "at": 93.0, "rows": 0, "mb": 310.0, "peak": 315.0},
        {"sitting": 90.0, "at": 97.5, "rows": 9, "mb": 600.0, "peak": 640.0},
    ]
    assert sittings(seen, 650.0) == {"sittings": 2, "seconds": 17.5, "peak_mb": 700.0}
    assert sittings(seen[2:], 650.0) == {"sittings": 1, "seconds": 7.5, "peak_mb": 650.0}
    assert sittings(seen[2:], 0.0)["peak_mb"] == 640.0  # nobody saw its end


def test_starts_cold_start_is_timed_to_the_first_line(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cold_start("import time; time.sleep(0.7); print('x', flush=True)") >= 0.7
    code = """
import sys, time
from pathlib import Path
begun, told = map(Path, sys.argv[1:])
begun.touch()
print("x", flush=True)
for _ in range(2000):
    if told.exists():
        raise SystemExit
    time.sleep(0.01)
raise SystemExit(3)
"""
    begun, told = tmp_path / "begun", tmp_path / "told"
    looked: list[bool] = []

    def clock() -> float:
        looked.append(begun.exists())
        if len(looked) == 2:
            told.touch()  # what comes after the first line does not count: the process ends only now
        return float(len(looked))

    with monkeypatch.context() as patch:
        patch.setattr("time.perf_counter", clock)
        assert cold_start(code, str(begun), str(told)) == 1.0
    assert looked == [False, True]
    assert cold_start(OURS, TEXT, str(tiny_checkpoint), "onnxruntime") > 0
    for code in ("pass", "print(1); raise SystemExit(3)"):
        with pytest.raises(RuntimeError, match="expected a record of a fresh process"):
            cold_start(code)


def test_starts_cold_start_is_no_work_of_others() -> None:
    """What its process did is counted with the children that have ended, as soon as it is timed."""
    before = os.times()
    cold_start("import time\nwhile time.process_time() < 0.5: pass\nprint('x', flush=True)")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent >= 0.5 - 2 / os.sysconf("SC_CLK_TCK")


def test_starts_cold_start_inherits_no_limits_and_names_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "CINESENT_RUNTIME"):
        monkeypatch.setenv(name, "1")
    code = """
import os
assert not {"OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "CINESENT_RUNTIME"} & set(os.environ)
print("x")
"""
    assert cold_start(code) > 0
    asked = []
    monkeypatch.setattr(starts_module, "cold_start", lambda *arguments: asked.append(arguments) or 1.0)
    tasks = starts(None, Path("bert"), "onnxruntime")
    assert list(tasks) == ["ours", "pipeline"] and all(task() == 1.0 for task in tasks.values())
    assert [arguments[-1] for arguments in asked] == ["onnxruntime", "bert"]


@linux
def test_starts_large_job_reads_the_command_s_own_progress(tiny_checkpoint: Path, tmp_path: Path) -> None:
    found = large_job(105, tiny_checkpoint, tmp_path / "work", threads=1, circumstances={"busy": False})
    began_in, during = found["circumstances"]
    assert found["threads"] == 1 and began_in == {"busy": False}
    load = during["other_load"]
    assert during == {"during": "the job", "other_load": load, "busy": None if load is None else load > 0.2}
    assert found["rows"] == 105 and found["block_rows"] == 5
    assert len(found["resident_mb"]) == 10 and max(found["resident_mb"]) <= found["peak_mb"] + 0.1
    assert found["last_over_first"] > 0 and found["rows_per_second"] > 0
    assert 0.01 < found["pace_last_over_first"] < 100
    assert found["sittings"] == 1 and found["seconds"] > 105 / found["rows_per_second"]
    assert found["runtime"].startswith("ONNX Runtime") and found["judged_rows"] == 100
    assert found["texts"]["mean_tokens"] == pytest.approx(25, abs=5)  # of a hundred texts
    assert found["disk_mb"]["input"] > 0
    assert found["disk_mb"]["output"] > found["disk_mb"]["input"] and found["disk_mb"]["meanwhile"] > 0
    assert not list((tmp_path / "work").iterdir())


@linux
def test_starts_large_job_goes_on_where_it_was_killed(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dies = "    if tick.phase == 'score' and tick.rows > 8: os._exit(9)\n    if tick.phase"
        patch.setattr(starts_module, "JOB", JOB.replace("    if tick.phase", dies, 1))
        with pytest.raises(RuntimeError, match="expected exit code 0, found 9"):
            large_job(62, tiny_checkpoint, tmp_path, circumstances={"busy": True})
    assert any(tmp_path.glob("*.partial/part-*"))
    (notes,) = tmp_path.glob("*-notes.jsonl")
    with notes.open("ab") as handle:
        handle.write('{"rows": 7, "评'.encode()[:-1])  # what a failure of power leaves
    found = large_job(62, tiny_checkpoint, tmp_path, circumstances={"busy": False})  # of two rows a block
    began_in, during = found["circumstances"][::2], found["circumstances"][1::2]
    assert began_in == [{"busy": True}, {"busy": False}]
    assert [entry["during"] for entry in during] == ["the job", "the job"]  # of the one that was cut off as well
    assert found["sittings"] == 2 and 40 <= found["judged_rows"] < 56 and found["last_over_first"] > 0
    assert found["disk_mb"]["output"] > 0 and not list(tmp_path.iterdir())


def test_starts_tell_of_every_sitting_how_busy_others_were(tmp_path: Path) -> None:
    """By its last note, which one that was cut off has too; of one that died before its first nothing is known."""
    notes = tmp_path / "notes.jsonl"
    lines = [
        '{"circumstances": {"busy": false}}', '{"sitting": 1.0, "rows": 0, "other_load": null}',
        '{"sitting": 1.0, "rows": 9, "other_load": 0.7}', '{"sitting": 1.0, "rows": 18, "other_load": 0.4}',
        '{"circumstances": {"busy": true}}', '{"circumstances": null}', '{"sitting": 2.0, "rows": 0, "other_lo',
        '{"sitting": 2.0, "rows": 27, "other_load": 0.2}',
    ]  # fmt: skip
    notes.write_text("\n".join(lines) + "\n", "utf-8")
    seen, told = read_notes(notes)
    assert [note["rows"] for note in seen] == [0, 9, 18, 27]
    job = {"during": "the job"}
    assert told == [
        {"busy": False}, job | {"other_load": 0.4, "busy": True}, {"busy": True},
        job | {"other_load": None, "busy": None}, job | {"other_load": 0.2, "busy": False},
    ]  # fmt: skip


@linux
def test_starts_large_job_watches_others_itself(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Whoever started it may be gone: its notes have what others did meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        # That the process which keeps the pace had 0.5 of them is taken off.
        told = JOB.replace("others.load()", "1.25").replace("spent / (now - began)", "0.5")
        patch.setattr(starts_module, "JOB", told)
        found = large_job(62, tiny_checkpoint, tmp_path, threads=1)
    assert found["circumstances"] == [{"during": "the job", "other_load": 0.75, "busy": True}]


@linux
def test_starts_disk_is_what_lies_beside_input_and_output(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = "        note(tick.rows, disk=beside())\n"
    assert dies in JOB
    monkeypatch.setattr(starts_module, "JOB", JOB.replace(dies, f"{dies}        os._exit(9)\n"))
    with pytest.raises(RuntimeError, match="found 9"):
        large_job(62, tiny_checkpoint, tmp_path)
    (folder,) = tmp_path.glob("*.partial")
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    (growing,) = (name for name in sizes if name.startswith(".out-"))
    assert sizes.pop(growing) > 0 and len(sizes) == 32  # parts and the manifest
    (notes,) = tmp_path.glob("*-notes.jsonl")
    assert read_notes(notes)[0][-1]["disk"] == sum(sizes.values())


@linux
def test_starts_large_job_that_ended_by_itself_is_not_run_again(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(code: str, *arguments: str) -> dict[str, float]:
        measure(code, *arguments)
        raise KeyboardInterrupt  # ended itself, and its job was not

    def orphaned() -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(starts_module, "measure", begun)
            with pytest.raises(KeyboardInterrupt):
                large_job(62, tiny_checkpoint, tmp_path, threads=1, circumstances={"busy": True})
        assert not list(tmp_path.glob("*.partial"))
        return next(tmp_path.glob("*-notes.jsonl"))

    def again(*_: str) -> dict[str, float]:
        raise AssertionError("expected the job that is there, found another")

    notes = orphaned()
    kept = notes.read_text("utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(starts_module, "measure", again)
        with pytest.raises(AssertionError):  # another job
            large_job(62, tiny_checkpoint, tmp_path, threads=2)
        found = large_job(62, tiny_checkpoint, tmp_path, threads=1, circumstances={"busy": False})
    assert found["sittings"] == 1 and found["rows"] == 62 and found["disk_mb"]["output"] > 0
    assert found["peak_mb"] >= max(found["resident_mb"])
    began_in, during = found["circumstances"]
    assert began_in == {"busy": True} and during["during"] == "the job"  # what it was measured in
    for path in tmp_path.glob("job-62-*-2-*"):  # of the other job
        path.unlink()
    assert not list(tmp_path.glob("job-*"))
    # What is not whole is not taken: no last block of the output, no note of its end, no output.
    notes = orphaned()
    output = notes.with_name(notes.name.replace("-notes.jsonl", "-out.csv"))
    source = notes.with_name(notes.name.replace("-notes.jsonl", ".csv"))
    assert finished(source, output, notes, 62) and not finished(source, output, notes, 63)
    lines = kept.splitlines(keepends=True)
    cut = [line for line in lines if '"disk"' not in line]
    assert len(cut) == len(lines) - 1
    for text in ("".join(cut), kept[:-20], "".join(lines[:10])):
        notes.write_text(text, "utf-8")
        assert not finished(source, output, notes, 62)
    notes.write_text(kept, "utf-8")
    for path in (source, output):
        aside = path.rename(tmp_path / "aside")
        assert not finished(source, output, notes, 62)
        aside.rename(path)
    partial_folder(output).mkdir()
    assert not finished(source, output, notes, 62)
    partial_folder(output).rmdir()
    notes.write_text("".join(cut), "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(starts_module, "measure", again)
        with pytest.raises(AssertionError):
            large_job(62, tiny_checkpoint, tmp_path, threads=1)
    assert not output.exists() and len(notes.read_text("utf-8").splitlines()) == 1  # begun anew
