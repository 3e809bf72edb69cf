"""The speed benchmark run small: a tiny checkpoint, a tiny BERT, a peer that is a few lines of Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmarks.texts
from benchmarks import speed
from benchmarks.rivals import Size
from training.peers import PeerError, Peers
from training.speed_table import speed_block

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
# Answers as benchmarks/peers/runner.py does: SnowNLP is there and slow, cnsenti is missing.
FAKE = """
import json, sys
peer, rest = sys.argv[1], sys.argv[2:]
if peer == "cnsenti":
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


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


@linux
def test_speed_measures_everything_once(
    tiny_checkpoint: Path, bert: Path, runner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    own = tmp_path / "train.jsonl"
    own.write_text("".join(speed.OWN.read_text("utf-8").splitlines(keepends=True)[:150]), "utf-8")
    for module in (speed, benchmarks.texts):
        monkeypatch.setattr(module, "OWN", own)
    monkeypatch.setattr(speed, "SIZE", Size(**json.loads((bert / "size.json").read_text("utf-8"))))
    monkeypatch.setattr(speed, "CEILING_SECONDS", 0.02)
    output = tmp_path / "speed.json"
    command = [
        "--model", str(tiny_checkpoint), "--peers-python", sys.executable, "--texts", "40", "--rounds", "2", "--starts",
        "1", "--threads", "2", "--work", str(bert.parent), "--json", str(output),
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(speed, "cold_starts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            speed.main([*command, "--rows", "0"])
    kept = (bert.parent / "rounds.jsonl").read_text("utf-8")
    assert speed.main([*command, "--rows", "0"]) == 0  # with the rounds of the first sitting
    assert not (bert.parent / "rounds.jsonl").exists()
    found: dict[str, Any] = json.loads(output.read_text("utf-8"))
    assert not list(bert.parent.glob("*/float32.onnx"))
    assert found["kind"] == "speed" and found["trial"] and found["threads"] == 2
    assert "Not real comments" in found["texts"]["note"] and found["texts"]["short"]["texts"] == 40
    entries = {entry["name"]: entry for entry in found["contestants"]}
    assert list(entries) == [
        "ours-1", "ours", "bert-1", "bert-32", "bert-int8-1", "bert-int8-32", "bert-aspects", "tfidf", "snownlp",
        "cnsenti",
    ]  # fmt: skip
    assert entries["cnsenti"]["short"] is None and "found no cnsenti" in entries["cnsenti"]["skipped"]
    assert entries["snownlp"]["short"]["texts_per_second"] == 100 and "snownlp 1.0" in entries["snownlp"]["how"]
    for name, entry in entries.items():
        assert name == "cnsenti" or all(len(entry[part]["seconds"]) == 2 for part in ("short", "long")), name
    values = {entry["name"]: entry["value"] for line in kept.splitlines() if "name" in (entry := json.loads(line))}
    assert found["sittings"] == 2
    assert entries["ours"]["long"]["seconds"] == [round(values[f"round {n}, ours on long"], 4) for n in (1, 2)]
    assert entries["ours-1"]["threads"] == 1 and entries["ours"]["threads"] == 2
    kinds = found["ceiling"]["kinds"]
    for entry in kinds.values():
        per_text = found["ceiling"]["operations_a_token"] * found["ceiling"]["tokens_a_text"]["short"]
        reckoned = entry["operations_per_second"]["all"] / per_text
        assert entry["texts_per_second"]["short"] == pytest.approx(reckoned, rel=0.01)
        speeds = entry["operations_per_second"]
        assert entry["gain"] == pytest.approx(speeds["all"] / speeds["1"], rel=0.01)
    one, both = (entries[name]["short"]["texts_per_second"] for name in ("ours-1", "ours"))
    assert found["gain"]["short"] == pytest.approx(both / one, rel=0.02)
    assert found["ceiling"]["tokens_a_text"]["short"] == pytest.approx(
        found["texts"]["short"]["mean_tokens"] + 2, abs=0.1
    )
    assert sum(found["stages"]["long"]["shares"].values()) == pytest.approx(1, abs=0.2)
    assert set(found["cold_start"]) == {"ours", "pipeline"} and len(found["cold_start"]["ours"]["runs"]) == 1
    targets = {entry["name"]: entry for entry in found["targets"]}
    assert targets["snownlp"]["met"] is not None and "memory" not in targets
    assert "round 2, ours on short" in capsys.readouterr().err

    # The large file is measured by itself, and the rest stays.
    assert speed.main([*command, "--rounds", "0", "--rows", "63"]) == 0
    later = json.loads(output.read_text("utf-8"))
    assert later["contestants"] == found["contestants"] and later["job"]["rows"] == 63
    assert {entry["name"] for entry in later["targets"]} == {*targets, "memory", "flat", "steady"}
    for lang in ("en", "zh"):
        assert "SnowNLP" in speed_block(later, None, lang)


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
