"""The speed benchmark run small: a tiny checkpoint, a tiny BERT, a peer that is a few lines of Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import benchmarks.contestants as contestants_module
import benchmarks.texts
from benchmarks import speed
from benchmarks.contestants import Contestant, own_contestants
from benchmarks.journal import BESIDE, Journal
from benchmarks.rivals import Size
from benchmarks.rounds import scoring_seconds
from benchmarks.runtimes import runtime_of
from benchmarks.texts import Drawn
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.runtimes import Choice
from training.peers import PeerError, Peers
from training.speed_table import speed_block

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
# Answers as benchmarks/peers/runner.py does: both are there and slow; with BROKEN set, cnsenti is missing.
FAKE = """
import json, os, sys
peer, rest = sys.argv[1], sys.argv[2:]
if peer == "cnsenti" and os.environ.get("BROKEN"):
    print("expected cnsenti in this environment, found no cnsenti", file=sys.stderr)
    sys.exit(3)
if rest == ["--versions"]:
    print(json.dumps({peer: "1.0"}))
    sys.exit()
assert rest == ["--seconds"]
texts = sum(1 for _ in sys.stdin.buffer)
print(json.dumps({"texts": texts, "seconds": texts / 100}))
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runner.py"
    path.write_text(FAKE, "utf-8")
    monkeypatch.setattr(speed, "RUNNER", path)
    return path


def interrupt(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


@linux
def test_speed_measures_everything_once(
    int8_checkpoint: Path, bert: Path, runner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    own = tmp_path / "train.jsonl"
    own.write_text("".join(speed.OWN.read_text("utf-8").splitlines(keepends=True)[:150]), "utf-8")
    for module in (speed, contestants_module, benchmarks.texts):
        monkeypatch.setattr(module, "OWN", own)
    monkeypatch.setattr(speed, "SIZE", Size(**json.loads((bert / "size.json").read_text("utf-8"))))
    monkeypatch.setattr(speed, "CEILING_SECONDS", 0.02)
    output = tmp_path / "speed.json"
    command = [
        "--model", str(int8_checkpoint), "--texts", "40", "--rounds", "2", "--starts", "1", "--threads", "2", "--busy",
        "--work", str(bert.parent), "--json", str(output),
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(speed, "targets", interrupt)
        with pytest.raises(KeyboardInterrupt):
            speed.main([*command, "--rows", "0"])
    journal = bert.parent / "rounds.jsonl"
    kept = journal.read_text("utf-8")
    assert speed.main([*command, "--rows", "0"]) == 0  # with the rounds of the first sitting
    without = {entry["name"]: entry for entry in json.loads(output.read_text("utf-8"))["contestants"]}
    assert "none was given" in without["snownlp"]["skipped"] and without["snownlp"]["short"] is None
    assert journal.exists()  # so that who is missing can be added
    # Python of the peers beside it: our rounds are not run again.
    command += ["--peers-python", sys.executable]
    assert speed.main([*command, "--rows", "0"]) == 0
    assert not journal.exists()
    found: dict[str, Any] = json.loads(output.read_text("utf-8"))
    assert not list(bert.parent.glob("*/float32.onnx"))
    assert found["kind"] == "speed" and found["trial"] and found["threads"] == 2
    assert found["texts"]["source"] == ["train.jsonl"] and found["texts"]["short"]["texts"] == 40
    sittings = [entry for entry in found["measured"]["sittings"] if "during" not in entry]
    assert len(sittings) == 3 and all("other_load" in entry for entry in sittings)
    entries = {entry["name"]: entry for entry in found["contestants"]}
    assert list(entries) == [
        "ours-1", "ours", "bert-1", "bert-32", "bert-int8-1", "bert-int8-32", "bert-aspects", "tfidf", "snownlp",
        "cnsenti",
    ]  # fmt: skip
    assert entries["snownlp"]["short"]["texts_per_second"] == 100 and "snownlp 1.0" in entries["snownlp"]["how"]
    for name, entry in entries.items():
        assert "skipped" not in entry and all(len(entry[part]["seconds"]) == 2 for part in ("short", "long")), name
        assert name in without
    values = {entry["name"]: entry["value"] for line in kept.splitlines() if "name" in (entry := json.loads(line))}
    assert found["sittings"] == 3
    assert entries["ours"]["runtime"].startswith("ONNX Runtime") and "ONNX Runtime" in entries["ours"]["title"]
    key = f"ours ({entries['ours']['runtime']}) on long"
    assert entries["ours"]["long"]["seconds"] == [round(values[f"round {n}, {key}"], 4) for n in (1, 2)]
    assert entries["bert-1"]["short"] == without["bert-1"]["short"]
    assert entries["ours-1"]["threads"] == 1 and entries["ours"]["threads"] == 2
    kinds = found["ceiling"]["kinds"]
    for entry in kinds.values():
        per_text = found["ceiling"]["operations_a_token"] * found["ceiling"]["tokens_a_text"]["short"]
        reckoned = entry["operations_per_second"]["all"] / per_text
        assert entry["texts_per_second"]["short"]["median"] == pytest.approx(reckoned, rel=0.01)
        speeds = entry["operations_per_second"]
        assert entry["gain"] == pytest.approx(speeds["all"] / speeds["1"], rel=0.01)
    one, both = (entries[name]["short"]["texts_per_second"] for name in ("ours-1", "ours"))
    assert found["gain"]["ours"]["short"] == pytest.approx(both / one, rel=0.02)
    assert found["ceiling"]["tokens_a_text"]["short"] == pytest.approx(
        found["texts"]["short"]["mean_tokens"] + 2, abs=0.1
    )
    shares = found["stages"]["ours"]["long"]["shares"]
    assert sum(share["median"] for share in shares.values()) == pytest.approx(1, abs=0.2)
    assert set(found["stages"]) == {"ours"} and set(found["cold_start"]) == {"ours", "pipeline"}
    cold = f"round 1, cold start of ours ({entries['ours']['runtime']})"
    assert found["cold_start"]["ours"]["runs"] == [round(values[cold], 3)]
    targets = {entry["name"]: entry for entry in found["targets"]}
    assert targets["snownlp"]["met"] is not None and "memory" not in targets
    said = capsys.readouterr().err
    assert "round 2, ours (ONNX Runtime" in said and "rounds are kept in" in said

    # The large file is measured by itself, on one runtime and then on the other, and the rest stays.
    alone = [*command, "--rounds", "0", "--threads", "1"]
    assert speed.main([*alone, "--rows", "63"]) == 0
    later = json.loads(output.read_text("utf-8"))
    assert later["contestants"] == found["contestants"] and later["threads"] == 2
    plain = runtime_of(None, int8_checkpoint).name
    job = later["jobs"][plain]
    assert list(later["jobs"]) == [plain] and (job["rows"], job["threads"]) == (63, 1)
    assert job["runtime"].startswith("ONNX Runtime") and job["texts"]["mean_tokens"] > 0
    assert [entry.get("during") for entry in job["circumstances"]] == [None, "the job"]
    loads = [entry["other_load"] for entry in job["circumstances"]]
    assert [entry["busy"] for entry in job["circumstances"]] == [None if x is None else x > 0.2 for x in loads]
    assert {entry["name"] for entry in later["targets"]} == {*targets, "memory", "flat", "steady", "steady-at-one-pace"}
    if plain == "onnxruntime":  # a processor without int8 has no other
        return
    fake = job | {"runtime": "ONNX Runtime 1, float32", "peak_mb": 1.0}
    monkeypatch.setattr(speed, "large_job", lambda *arguments: asked.append(arguments) or fake)
    asked: list[tuple[Any, ...]] = []
    assert speed.main([*alone, "--rows", "63", "--runtime", "onnxruntime"]) == 0
    last = json.loads(output.read_text("utf-8"))
    assert [arguments[3] for arguments in asked] == ["onnxruntime"] and "other_load" in asked[0][5]
    assert last["jobs"][plain] == job and last["jobs"]["onnxruntime"]["peak_mb"] == 1.0
    (memory,) = (entry for entry in last["targets"] if entry["name"] == "memory")
    assert memory["value"] == pytest.approx(job["peak_mb"] * 2**20 / 1e9, rel=1e-3)  # in the contestant's precision
    for lang in ("en", "zh"):
        block = speed_block(last, None, lang)
        assert "SnowNLP" in block and "| 2 | 40 + 4 |" in block
        assert all(runtime in block for runtime in (job["runtime"], fake["runtime"]))


def test_speed_says_at_once_that_a_peer_does_not_answer(
    tiny_checkpoint: Path, runner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(speed, "analyzers_of", interrupt)
    command = ["--model", str(tiny_checkpoint), "--busy", "--work", str(tmp_path), "--rows", "0"]
    with pytest.raises(KeyboardInterrupt):  # both answer
        speed.main([*command, "--peers-python", sys.executable])
    monkeypatch.setenv("BROKEN", "1")
    for python, said in ((sys.executable, "found no cnsenti"), (str(tmp_path / "none"), "no file")):
        with pytest.raises(SystemExit):
            speed.main([*command, "--peers-python", python])
        assert said in capsys.readouterr().err.splitlines()[-1]


def test_speed_keeps_off_a_busy_machine(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.machine.others_load", lambda: 1.2)
    with pytest.raises(SystemExit):
        speed.main(["--model", str(tiny_checkpoint), "--work", str(tmp_path)])
    assert "found others busy on 1.20 cores" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_speed_gives_a_peer_that_takes_long_one_round(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "CEILING_SECONDS", 0.01)
    analyzers = {name: Analyzer.load(tiny_checkpoint, threads=1, runtime="onnxruntime") for name in ("ours-1", "ours")}
    texts = Drawn("short", [f"第{i}条，座椅太硬" for i in range(400)], [8] * 400, False)
    slow = Contestant("slow", "slow", "slow", "peer", 1, "", "", lambda texts: len(texts) / 0.2)  # 1,500 s for 300
    quick = Contestant("quick", "quick", "quick", "peer", 1, "", "", lambda texts: len(texts) / 0.3)  # 1,000 s
    entries = [*own_contestants(analyzers, 1), slow, quick]
    found = speed.in_rounds(
        analyzers, load_checkpoint(tiny_checkpoint), entries, {"short": texts, "long": texts.subsample(30)}, 2, 1,
        Journal(None, {}),
    )  # fmt: skip
    told = {entry["name"]: entry for entry in found["contestants"]}
    assert told["slow"]["short"]["texts"] == 300 == told["quick"]["short"]["texts"]
    assert len(told["slow"]["short"]["seconds"]) == 1 and "more than 20 minutes" in told["slow"]["short"]["once"]
    assert len(told["quick"]["short"]["seconds"]) == 2 and "once" not in told["quick"]["short"]
    assert len(told["slow"]["long"]["seconds"]) == 2


def test_speed_cold_starts_are_kept_and_the_first_of_a_sitting_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def start(name: str) -> float:
        asked.append(name)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return float(len(asked))

    names = ("ours", "pipeline")
    monkeypatch.setattr(speed, "starts", lambda *_: {name: partial(start, name) for name in names})
    monkeypatch.setattr("benchmarks.rounds.Others", lambda: SimpleNamespace(load=lambda: 0.5))
    path = tmp_path / "rounds.jsonl"
    with pytest.raises(KeyboardInterrupt):
        speed.cold_starts(None, tmp_path, 2, Journal(path, {}))
    later = Journal(path, {})
    found = speed.cold_starts(None, tmp_path, 2, later)
    # One each that does not count; a round; the second, cut off; again one each; the second, the other way round.
    assert asked == [*names, *names, "pipeline", *names, "pipeline", "ours"]
    assert {name: entry["runs"] for name, entry in found.items()} == {"ours": [3, 9], "pipeline": [4, 8]}
    during = later.circumstances({})[-1]
    assert "cold start of ours (ONNX Runtime" in during["during"] and during["busy"]
    fresh = Journal(path, {})
    monkeypatch.setattr(speed, "runtime_of", lambda *_: Choice("onnxruntime", "another", "float32"))
    assert speed.cold_starts(None, tmp_path, 2, fresh)["ours"]["runs"] == [12, 13]  # of another runtime, measured anew


def test_speed_keeps_how_busy_others_were_beside_the_cold_starts(
    tiny_checkpoint: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cold_starts(model: Path, bert: Path, runs: int, journal: Journal) -> dict[str, Any]:
        journal.once(f"{BESIDE}round 1, cold start of ours", lambda: 1.5)
        return {name: {"median": 1.0} for name in ("ours", "pipeline")}

    monkeypatch.setattr(speed, "cold_starts", cold_starts)
    monkeypatch.setattr(speed, "write_bert", lambda *_: None)
    monkeypatch.setattr(speed, "contestants", lambda *_: [])
    monkeypatch.setattr(speed, "in_rounds", lambda *_: {"contestants": []})
    output = tmp_path / "speed.json"
    command = ["--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "1", "--starts", "1", "--rows", "0"]
    assert speed.main([*command, "--busy", "--work", str(tmp_path / "work"), "--json", str(output)]) == 0
    assert json.loads(output.read_text("utf-8"))["measured"]["sittings"][-1] == {
        "during": "round 1, cold start of ours", "other_load": 1.5, "busy": True,
    }  # fmt: skip


def test_speed_says_in_one_line_that_a_peer_failed_in_its_rounds(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> Any:
        raise PeerError("snownlp ended with exit code 1: ValueError")

    monkeypatch.setattr(speed, "cold_starts", lambda *_: {})
    monkeypatch.setattr(speed, "write_bert", lambda *_: None)
    monkeypatch.setattr(speed, "contestants", lambda *_: [])
    monkeypatch.setattr(speed, "in_rounds", fails)
    command = ["--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "1", "--rows", "0", "--busy"]
    with pytest.raises(SystemExit):
        speed.main([*command, "--work", str(tmp_path / "work"), "--json", str(tmp_path / "x.json")])
    said = capsys.readouterr().err.splitlines()[-1]
    assert "snownlp ended with exit code 1: ValueError; rounds are kept in" in said
    assert (tmp_path / "work" / "rounds.jsonl").is_file()


def test_contestants_with_one_thread_tokenise_on_one_core(tiny_checkpoint: Path) -> None:
    seen = []

    class Watched:
        def analyze_many(self, texts: list[str]) -> list[str]:
            seen.append(os.environ.get("TOKENIZERS_PARALLELISM"))
            return texts

    analyzer: Any = Watched()
    scoring_seconds(analyzer, ["a"])
    scoring_seconds(analyzer, ["a"], one_core=True)
    scoring_seconds(analyzer, ["a"])
    assert seen[1] == "false" and seen[0] == seen[2] != "false"
    real = Analyzer.load(tiny_checkpoint, threads=1, runtime="onnxruntime")
    by_name = {entry.name: entry for entry in own_contestants({"ours": real, "ours-1": real}, 2)}
    timed = [by_name[name].seconds for name in ("ours-1", "ours")]
    assert [one.keywords["one_core"] for one in timed] == [True, False]  # type: ignore[union-attr]
    assert [(by_name[name].threads, "float32" in by_name[name].zh) for name in ("ours-1", "ours")] == [
        (1, True), (2, True),
    ]  # fmt: skip


def test_speed_refuses_what_makes_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ["--json", str(tmp_path / "x.json")]
    for arguments, said in (
        (["--texts", "100"], "a trial is no result"),
        (["--rows", "500"], "a trial is no result"),
        (["--rows", "20", *other], "at least 42 --rows"),
        (["--texts", "5", *other], "at least 20 --texts"),
        (["--model", str(tmp_path / "none"), "--rounds", "1", *other], "expected a checkpoint folder"),
    ):
        with pytest.raises(SystemExit):
            speed.main(arguments)
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_speed_peers_must_time_every_text(runner: Path) -> None:
    peers = Peers(Path(sys.executable), runner)
    assert peers.seconds("snownlp", ["座椅太硬", "音响震撼"]) == 0.02
    runner.write_text(FAKE.replace('{"texts": texts', '{"texts": texts - 1'), "utf-8")
    with pytest.raises(PeerError, match="expected 2 texts timed by snownlp, found 1"):
        peers.seconds("snownlp", ["座椅太硬", "音响震撼"])


def test_speed_runner_times_snownlp() -> None:
    """The real program: its start does not count, and it answers with the time alone."""
    lines = "".join(json.dumps({"text": text}) + "\n" for text in ("座椅太硬", "……", "音响震撼"))
    real = Path(__file__).parent.parent.parent / "benchmarks" / "peers" / "runner.py"
    done = subprocess.run(
        [sys.executable, str(real), "snownlp", "--seconds"], input=lines, capture_output=True, text=True, check=True
    )
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert answer["texts"] == 3 and 0 < answer["seconds"] < 5
    refused = subprocess.run([sys.executable, str(real), "setfit", "--seconds"], capture_output=True, text=True)
    assert refused.returncode == 2 and "expected --seconds beside snownlp or cnsenti" in refused.stderr


def test_speed_runner_takes_cnsenti_as_installed(tmp_path: Path) -> None:
    """Its dictionaries stay the lists that they are."""
    (tmp_path / "jieba.py").write_text("def setLogLevel(level): pass\n", "utf-8")
    (tmp_path / "cnsenti.py").write_text(
        """
NAMES = ("Poss", "Negs", "Denys", "Extremes", "Verys", "Mores", "Ishs")
class Sentiment:
    def __init__(self):
        vars(self).update({name: ["x"] for name in NAMES})
    def sentiment_calculate(self, text):
        return {"pos": sum(vars(self)[name] == ["x"] for name in vars(self)), "neg": 1}
""",
        "utf-8",
    )
    real = Path(__file__).parent.parent.parent / "benchmarks" / "peers" / "runner.py"
    done = subprocess.run(
        [sys.executable, str(real), "cnsenti"], input=json.dumps({"text": "座椅太硬"}), capture_output=True, text=True,
        check=True, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert json.loads(done.stdout) == {"score": 6.0}
