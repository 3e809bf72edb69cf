"""The levers small: a random checkpoint, few texts; every side has to give the packaged way's records."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks import levers, variants
from benchmarks.depths import depths_beside, inference_seconds, random_engine
from benchmarks.engines import engine_on
from benchmarks.graphs import PIECES, GraphError, Nodes, fused, halves, pruned, table_bytes
from benchmarks.lever_list import LEVERS, PACKAGED
from benchmarks.levers import blocks, compared, differences, padding, records, surprises, verdict, window_blocks
from benchmarks.runtimes import installed
from benchmarks.sessions import float_graph, windows_of
from benchmarks.variants import (
    InOrder,
    OneByOne,
    Overlapped,
    Packed,
    Pinned,
    PinnedOpenVino,
    Sorted,
    cut_table,
    fused_session,
    one_by_one,
    packed_rows,
    with_session,
)
from sentiment.analyzer import Analyzer
from sentiment.batch import LocalRunner, ScoreOptions, score_with
from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.engine import OUTPUTS, Engine
from sentiment.runtimes import Choice
from sentiment.tables import ReadOptions, open_tables
from training.lever_table import levers_block

LONG = "座椅太硬，坐得腰疼。音响震撼，画面清晰！" * 12
MIXED = ("好", LONG, "", "Great seats!", "排队检票等了二十分钟")


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> Engine:
    return Engine(checkpoint, threads=1)


@pytest.fixture(scope="module")
def texts(sample_texts: list[str]) -> list[str]:
    return [*sample_texts[:40], *MIXED]


def windows(engine: Engine, texts: Sequence[str]) -> list[list[int]]:
    return [window for found in windows_of(engine, texts) for window in found]


def largest(first: Engine, second: Engine, texts: Sequence[str]) -> float:
    pairs = zip(first.run(windows(first, texts)), second.run(windows(first, texts)), strict=True)
    return max(float(np.abs(getattr(a, name) - getattr(b, name)).max()) for a, b in pairs for name in OUTPUTS)


def test_graphs_fused_attention_takes_the_place_of_every_layers(
    checkpoint: Checkpoint, engine: Engine, texts: list[str]
) -> None:
    graph = float_graph(checkpoint.folder / "model.onnx")
    found = fused(graph, int(checkpoint.config["encoder"]["num_attention_heads"]))
    kinds = [node.op_type for node in found.graph.node]
    assert kinds.count("Attention") == 2 and "Softmax" not in kinds
    assert [value.name for value in found.graph.output] == list(OUTPUTS)
    assert largest(engine, engine_on(checkpoint, fused_session(checkpoint, 1), 1), texts) < 1e-4
    # With other heads it is another model: the comparison can fail.
    other = engine_on(checkpoint, variants.session_of(fused(graph, 1), 1), 1)
    assert largest(engine, other, texts) > 1e-4


def test_graphs_halves_are_the_whole_together(checkpoint: Checkpoint) -> None:
    encoder, heads = halves(float_graph(checkpoint.folder / "model.onnx"))
    names = [[value.name for value in graph.graph.input] for graph in (encoder, heads)]
    assert names == [["input_ids", "attention_mask", "positions", "attention_bias"], ["hidden", "attention_mask"]]
    weights = [{tensor.name for tensor in graph.graph.initializer} for graph in (encoder, heads)]
    assert PIECES in weights[0] and "mention_weight" in weights[1]
    assert not any(name.startswith("encoder.encoder.") and name.endswith(".T") for name in weights[1])


def test_graphs_refuse_what_the_exporter_does_not_write() -> None:
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "none", [], []))
    for make in (lambda: pruned(empty, [1]), lambda: halves(float_like(empty))):
        with pytest.raises(GraphError, match=r"expected .* found"):
            make()


def float_like(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with inputs of the right names, and nothing between."""
    ints = onnx.TensorProto.INT64
    for name in ("input_ids", "attention_mask"):
        graph.graph.input.append(onnx.helper.make_tensor_value_info(name, ints, ["batch", "tokens"]))
    return graph


def test_variants_rows_hold_every_window_once() -> None:
    lengths = [5, 60, 12, 12, 30, 3, 64, 1]
    rows = packed_rows(lengths, 64)
    assert sorted(i for row in rows for i in row.windows) == list(range(len(lengths)))
    assert len(rows) == 3  # 64; 60 and 3 and 1; 30 and 12 and 12 and 5
    for row in rows:
        ends = [start + lengths[i] for start, i in zip(row.starts, row.windows, strict=True)]
        assert row.starts == [0, *ends[:-1]] and row.tokens == ends[-1] <= 64


def test_variants_packed_texts_do_not_see_one_another(
    checkpoint: Checkpoint, engine: Engine, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = Packed(checkpoint, threads=1)
    assert max(len(row.windows) for row in packed.rows(windows(engine, texts))) > 2
    assert largest(engine, packed, texts) < 1e-4
    assert packed.run([]) == []
    monkeypatch.setattr(variants, "SEPARATE", np.float32(0))  # without the mask they do
    assert largest(engine, packed, texts) > 1e-3


def test_variants_packed_rows_keep_to_the_budget(checkpoint: Checkpoint, engine: Engine, texts: list[str]) -> None:
    packed = Packed(checkpoint, threads=1)
    packed._budget = 2 * checkpoint.max_tokens
    groups = list(packed.grouped(windows(engine, texts)))
    assert len(groups) > 2 and all(len(rows) * rows[0].tokens <= packed._budget for rows in groups)
    assert largest(engine, packed, texts) < 1e-4


def test_variants_cut_table_answers_the_same_and_refuses_other_pieces(
    checkpoint: Checkpoint, engine: Engine, texts: list[str]
) -> None:
    ids = {piece for window in windows(engine, texts) for piece in window}
    session, graph = cut_table(engine, checkpoint, ids, 1)
    assert largest(engine, engine_on(checkpoint, session, 1), texts) == 0.0
    whole = table_bytes(onnx.load(str(checkpoint.folder / "model.onnx")))
    small = table_bytes(graph)
    size = int(checkpoint.config["encoder"]["vocab_size"])
    assert len(ids) < size and small[0] < whole[0] and small[1] < whole[1] == 4 * size * 32
    missing = next(piece for piece in range(size) if piece not in ids and piece > 5)
    with pytest.raises(Exception, match="out of"):
        engine_on(checkpoint, session, 1).run([[missing]])


def test_variants_batches_of_32(checkpoint: Checkpoint, engine: Engine, sample_texts: list[str]) -> None:
    found = windows(engine, sample_texts[:100])
    order = sorted(range(len(found)), key=lambda i: (len(found[i]), i))
    given, ranked = (list(kind(checkpoint, threads=1)._batches(order, found)) for kind in (InOrder, Sorted))
    assert [i for batch in given for i in batch] == list(range(len(found)))
    assert [i for batch in ranked for i in batch] == order
    assert {len(batch) for batch in (*given[:-1], *ranked[:-1])} == {32}
    for kind in (InOrder, Sorted):
        assert largest(engine, kind(checkpoint, threads=1), sample_texts[:100]) < 1e-4


@pytest.fixture(scope="module")
def openvino() -> Choice:
    found = [choice for choice in installed() if choice.name == "openvino"]
    if not found:
        pytest.skip('OpenVINO is not installed: pip install "cinesent[fast]"')
    return found[0]


def test_variants_batches_of_32_hold_one_padded_length_on_openvino(
    checkpoint: Checkpoint, openvino: Choice, sample_texts: list[str]
) -> None:
    """Or they would be no other way to the same records, but a cheaper way to others."""
    plain = Engine(checkpoint, threads=1, runtime="openvino")
    found = windows(plain, [*sample_texts[:70], LONG])
    order = sorted(range(len(found)), key=lambda i: (len(found[i]), i))
    for kind, places in ((InOrder, range(len(found))), (Sorted, order)):
        other = kind(checkpoint, threads=1, runtime="openvino")
        batches = list(other._batches(order, found))
        assert sorted(i for batch in batches for i in batch) == sorted(order)
        assert all(len({other._length(found[i]) for i in batch}) == 1 for batch in batches)
        for batch in batches:  # those of one 32 alone, and all of its length
            start = list(places).index(batch[0]) // 32 * 32
            same = other._length(found[batch[0]])
            assert batch == [i for i in places[start : start + 32] if other._length(found[i]) == same]
        assert largest(plain, other, [*sample_texts[:70], LONG]) <= (
            0.0 if openvino.precision == "bfloat16" else 2e-4
        )  # as test_runtimes.py has it


def test_levers_padding_on_openvino_is_that_of_its_rows(checkpoint: Checkpoint, openvino: Choice) -> None:
    engine = Engine(checkpoint, threads=1, runtime=openvino.name)
    assert padding(engine, [[[5] * 4, [5] * 6]]) == round(1 - 14 / 16, 4)  # two special tokens, rows of 8


PINS = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="pinning needs Linux and two CPUs"
)


@PINS
def test_variants_openvino_is_pinned_by_its_own_setting(
    checkpoint: Checkpoint, openvino: Choice, texts: list[str]
) -> None:
    plain = Engine(checkpoint, threads=2, runtime="openvino")
    before = os.sched_getaffinity(0)
    pinned = PinnedOpenVino(openvino, checkpoint.folder / "model.onnx", 2)
    settings = [session._compiled.get_property("ENABLE_CPU_PINNING") for session in (pinned, plain._session)]  # type: ignore[attr-defined]
    assert settings == [True, False]
    assert largest(plain, with_session(plain, pinned), texts[:8]) < 1e-4
    assert os.sched_getaffinity(0) == before
    with pytest.raises(OSError, match="expected at least two threads"):
        PinnedOpenVino(openvino, checkpoint.folder / "model.onnx", 1)


@PINS
def test_variants_pinned_threads_are_let_go(checkpoint: Checkpoint, engine: Engine, texts: list[str]) -> None:
    before = os.sched_getaffinity(0)
    pinned = Pinned(checkpoint, 2)
    seen: list[set[int]] = []
    real = pinned._session

    class Watched:
        def run(self, outputs: Sequence[str], feed: Any) -> Any:
            seen.append(os.sched_getaffinity(0))
            return real.run(outputs, feed)

    pinned._session = Watched()  # type: ignore[assignment]
    assert largest(engine, engine_on(checkpoint, pinned, 2), texts) < 1e-4
    assert all(len(cpus) == 1 for cpus in seen) and os.sched_getaffinity(0) == before


def test_variants_pinning_one_thread_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(OSError, match="expected"):
        Pinned(checkpoint, 1)


def test_variants_tokenising_one_by_one_is_the_same(engine: Engine, texts: list[str]) -> None:
    found = OneByOne(engine.tokenizer).encode_batch(texts, add_special_tokens=False)
    assert [e.ids for e in found] == [e.ids for e in engine.tokenizer.encode_batch(texts, add_special_tokens=False)]


def test_variants_an_engine_with_one_thing_exchanged_leaves_the_other_alone(engine: Engine) -> None:
    session, tokenizer = engine._session, engine.tokenizer
    single, other = one_by_one(engine), with_session(engine, object())  # type: ignore[arg-type]
    assert isinstance(single.tokenizer, OneByOne) and single._session is session
    assert other._session is not session and other.tokenizer is tokenizer
    assert engine._session is session and engine.tokenizer is tokenizer


def write_csv(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("text\n" + "".join(f"{text}\n" for text in texts if text and "\n" not in text), "utf-8")
    return path


def test_variants_overlapped_job_writes_the_same_bytes(
    checkpoint: Checkpoint, engine: Engine, sample_texts: list[str], tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "in.csv", sample_texts[:120])
    found = {}
    for kind in (LocalRunner, Overlapped):
        runner, output = kind(Analyzer(checkpoint, engine)), tmp_path / f"{kind.__name__}.csv"
        score_with(open_tables([str(source)], ReadOptions()), runner, output, ScoreOptions(block_rows=10))
        found[kind] = output.read_bytes()
    assert found[LocalRunner] == found[Overlapped] and found[LocalRunner].count(b"\n") > 50


def test_variants_overlapped_threads_end_with_their_reader() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise ValueError("broken here")

    taken = []
    with pytest.raises(ValueError, match="broken here"):
        taken.extend(variants._ahead(broken()))
    before = threading.active_count()
    endless = variants._ahead(iter(int, 1))
    next(endless)
    assert threading.active_count() == before + 1
    endless.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


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
    fast, slow, even = ({"low": low, "high": high} for low, high in ((1.1, 1.3), (0.7, 0.9), (0.9, 1.1)))
    assert verdict([fast, even]) == "gains" and verdict([even, even]) == "even" and verdict([fast, slow]) == "mixed"
    assert verdict([slow, even]) == "loses"


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
    assert len({lever.name for lever in LEVERS}) == len(LEVERS) == 8
    for lever in LEVERS:
        if PACKAGED in (lever.pulled, lever.released):
            assert lever.used == (lever.pulled == PACKAGED)


def test_levers_blocks_lose_nothing() -> None:
    assert list(blocks(range(5), 2)) == [[0, 1], [2, 3], [4]] and list(blocks([], 2)) == []


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


def test_levers_command_measures_every_lever_and_goes_on_when_interrupted(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "train.jsonl"
    lines = levers.OWN.read_text("utf-8").splitlines(keepends=True)
    own.write_text("".join(lines[:400]), "utf-8")
    monkeypatch.setattr("benchmarks.texts.OWN", own)
    monkeypatch.setattr("benchmarks.depths.DEPTHS", (3, 1))
    output = tmp_path / "levers.json"
    command = ["--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "2", "--compared", "8", "--threads", "1"]
    command += ["--busy", "--work", str(tmp_path / "work"), "--json", str(output)]
    with monkeypatch.context() as patch:
        patch.setattr(levers, "verdict", interrupt)
        with pytest.raises(KeyboardInterrupt):
            levers.main(command)
    kept = (tmp_path / "work" / "rounds.jsonl").read_text("utf-8")
    assert levers.main(command) == 0  # with the rounds of the first sitting
    assert not list((tmp_path / "work").iterdir())
    found = json.loads(output.read_text("utf-8"))
    assert found["sittings"] == 2
    lines_kept = {entry["name"]: entry["value"] for line in kept.splitlines() if "name" in (entry := json.loads(line))}
    assert found["levers"][0]["runtimes"]["onnxruntime"]["short"]["seconds"]["pulled"] == [
        round(lines_kept[f"round {number}, packaged on short, onnxruntime"], 4) for number in (1, 2)
    ]
    entries = {entry["name"]: entry for entry in found["levers"]}
    assert list(entries) == [lever.name for lever in LEVERS] and found["trial"] and found["rounds"] == 2
    names = [choice.name for choice in installed()]
    assert found["runtimes"] == {choice.name: str(choice) for choice in installed()}
    pinning, said = entries.pop("pinning")["runtimes"], capsys.readouterr().err
    for choice in installed():
        assert "expected at least two threads" in pinning[choice.name]["skipped"]
        assert f"pinned on {choice.title}: skipped, expected at least two threads" in said
    for entry in entries.values():
        assert list(entry["runtimes"]) == (names[:1] if entry["graph"] else names)
    for one in (one for entry in entries.values() for one in entry["runtimes"].values()):
        assert one["records"]["equal"] and one["verdict"] in ("gains", "even", "loses", "mixed")
        for part in ("short", "long"):
            assert one[part]["low"] <= one[part]["ratio"] <= one[part]["high"]
            assert len(one[part]["seconds"]["pulled"]) == 2
    alone = entries["tokenising"]["alone"]["short"]["seconds"]["pulled"]
    assert len(alone) == 2 and "alone" not in entries["order"]
    portable = {name: entry["runtimes"]["onnxruntime"] for name, entry in entries.items()}
    assert portable["vocabulary"]["kept"] < portable["vocabulary"]["pieces"]
    assert portable["vocabulary"]["cut"]["memory_mb"] < portable["vocabulary"]["whole"]["memory_mb"]
    assert portable["packing"]["bound"]["short"] >= 1 and portable["attention"]["found_by_the_optimiser"]
    assert [name for name, entry in entries.items() if entry["graph"]] == ["packing", "vocabulary", "attention"]
    assert [(entry["layers"], entry["used"]) for entry in found["depths"]] == [(3, False), (2, True), (1, False)]
    own = found["depths"][1]["short"]
    assert own["ratio"] == own["low"] == own["high"] == 1.0
    # What it writes is what the table reads.
    assert "| 3 layers in place of 2 (inference alone" in levers_block(found)
    assert portable["order"]["short"]["padding"]["pulled"] < portable["order"]["short"]["padding"]["released"]


def test_levers_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--rounds", "1"], ["--texts", "5", "--json", "x"], ["--compared", "1", "--json", "x"]):
        with pytest.raises(SystemExit):
            levers.main(arguments)
        assert "expected" in capsys.readouterr().err
