"""`cinesent score`: what it writes and says."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from score_runs import ROWS, one_line, records, run, start

from sentiment.batch import ScoreOptions
from sentiment.cli import say
from sentiment.distributed import RayOptions
from sentiment.runtimes import Choice
from sentiment.tables import ReadOptions, Table, open_tables
from sentiment.taxonomy import Taxonomy


def test_score_writes_the_file_and_says_what_it_found(fake: Any, dump: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    result = run("score", dump, "-o", output)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    lines = list(csv.DictReader(output.read_text("utf-8-sig").splitlines()))
    assert [line["cs_status"] for line in lines] == ["ok", "ok", "empty", "ok"]
    assert lines[1]["影院"] == "'=1+1"
    assert lines[0]["cs_seating"] == "negative"
    for told in (
        "rows",
        "4",
        "ok 3  empty 1",
        "negative 3",
        "complaint 3",
        "fake@00000000 (00000000)",
        "seating",
        str(output),
    ):
        assert told in result.stderr
    assert "太挤" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "reviews.csv"]


def test_score_summary_in_chinese(fake: Any, dump: Path, tmp_path: Path) -> None:
    result = run("score", dump, "-o", tmp_path / "out.xlsx", "--lang", "zh")
    assert result.exit_code == 0
    assert "座椅视野" in result.stderr
    assert "负面 3" in result.stderr


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".xlsx", ".jsonl", ".parquet"])
@pytest.mark.parametrize("layout", ["wide", "long"])
@pytest.mark.parametrize("probabilities", [True, False])
def test_score_every_format(
    fake: Any, dump: Path, tmp_path: Path, suffix: str, layout: str, probabilities: bool
) -> None:
    output, again = tmp_path / f"out{suffix}", tmp_path / f"again{suffix}"
    for path in (output, again):
        flag = ["--probabilities"] if probabilities else []
        assert run("score", dump, "-o", path, "--layout", layout, *flag).exit_code == 0
    if suffix != ".xlsx":
        assert output.read_bytes() == again.read_bytes()
    rows = records(output)
    assert len(rows) == 4
    if suffix in (".jsonl", ".parquet"):
        assert [row["status"] for row in rows] == ["ok", "ok", "empty", "ok"]
        assert rows[0]["dimensions"][0]["dimension"] == "seating"
        written = suffix == ".parquet" or probabilities  # Parquet always has them
        assert ("probabilities" in rows[0]) == written
        assert not written or rows[0]["probabilities"]["seating"] == [0.5, 0.25, 0.125]
        return
    mention = {
        "wide": {"cs_seating": "negative", "cs_seating_evidence": "座"},
        "long": {"cs_dimension": "seating", "cs_sentiment": "negative", "cs_evidence": "座"},
    }
    other = mention["long" if layout == "wide" else "wide"]
    assert rows[0].items() >= mention[layout].items() and not rows[0].keys() & other.keys()
    shares = {f"cs_seating_probability_{s}": p for s, p in (("negative", 0.5), ("neutral", 0.25), ("positive", 0.125))}
    found = {name: float(value) for name, value in rows[0].items() if name.startswith("cs_seating_probability")}
    assert found == (shares if probabilities else {})


def test_score_a_scored_file_can_be_scored(fake: Any, dump: Path, tmp_path: Path) -> None:
    assert run("score", dump, "-o", tmp_path / "a.csv").exit_code == 0
    one_line(
        run("score", tmp_path / "a.csv", "-o", tmp_path / "b.csv", "--text-col", "评论内容"),
        2,
        "--overwrite replaces them",
    )
    result = run("score", tmp_path / "a.csv", "-o", tmp_path / "b.csv", "--text-col", "评论内容", "--overwrite")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_score_stream_is_json_lines_on_standard_output(fake: Any, dump: Path) -> None:
    result = run("score", dump, "-o", "-", "--dimensions", "price，seating")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout_bytes.decode().splitlines()]
    assert [record["id"] for record in lines] == ["1", "2", "3", "4"]
    assert lines[0]["dimensions"][0]["dimension"] == "seating"
    assert lines[1]["input"]["影院"] == "=1+1"
    assert "probabilities" not in lines[0]
    result = run("score", dump, "-o", "-", "--dimensions", "price，seating", "--probabilities")
    lines = [json.loads(line) for line in result.stdout_bytes.decode().splitlines()]
    both = ["price", "seating"]
    assert [list(record["probabilities"]) for record in lines] == [both, both, [], both]


def test_score_rejected_rows_give_exit_code_1(fake: Any, tmp_path: Path) -> None:
    dump = tmp_path / "reviews.csv"
    dump.write_text(ROWS + "座位太挤了，看完腰疼,万达,多了,一列\n环境还可以吧，下次再来,万达\n", "utf-8")
    output = tmp_path / "out.jsonl"
    result = run("score", dump, "-o", output)
    assert result.exit_code == 1, result.stderr
    (reject,) = [json.loads(line) for line in (tmp_path / "out.jsonl.rejects.jsonl").read_text("utf-8").splitlines()]
    assert reject["row"] == 5
    assert len(output.read_bytes().splitlines()) == 5
    result = run("score", dump, "-o", "-")
    assert result.exit_code == 1
    assert "row 5 rejected" in result.stderr
    assert "太挤" not in result.stderr


def test_score_options_reach_the_analyzer(fake: Any, dump: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    options = "--threshold seating=0.6,price=0.4 --dimensions seating,price --threads 2 --batch-size 8 --max-memory 500"
    assert run("score", dump, "-o", tmp_path / "o.csv", "--model", model, *options.split()).exit_code == 0
    assert fake.calls == [
        (
            model,
            {
                "taxonomy": None,
                "threads": 2,
                "batch_size": 8,
                "dimensions": ("seating", "price"),
                "thresholds": {"seating": 0.6, "price": 0.4},
                "max_memory": 500,
                "runtime": "onnxruntime",
            },
        )
    ]


def test_score_options_of_reading_reach_the_reader(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def spy(paths: tuple[str, ...], options: ReadOptions) -> Table:
        calls.append((paths, options))
        return open_tables([dump], ReadOptions())

    monkeypatch.setattr("sentiment.tables.open_tables", spy)
    options = "--text-col t --id-col i --sheet s --no-header --encoding big5 --input-format tsv --limit 7"
    assert run("score", dump, "in.csv", "-o", tmp_path / "o.csv", *options.split()).exit_code == 0
    reading = ReadOptions(
        text_column="t",
        id_column="i",
        sheet="s",
        no_header=True,
        encoding="big5",
        input_format="tsv",
        limit=7,
    )
    assert calls == [((str(dump), "in.csv"), reading)]


def test_score_own_taxonomy_reaches_the_analyzer(fake: Any, dump: Path, tmp_path: Path, taxonomy: Taxonomy) -> None:
    own = tmp_path / "own.yaml"
    lines = (f"  - {{key: {key}, zh: 甲{key}, owner: {key}的主管}}\n" for key in taxonomy.keys)
    own.write_text("dimensions:\n" + "".join(lines), "utf-8")
    output = tmp_path / "o.csv"
    assert run("score", dump, "-o", output, "--taxonomy", own, "--lang", "zh").exit_code == 0
    ((_, load),) = fake.calls
    assert load["taxonomy"]["seating"].owner == "seating的主管"
    assert "甲seating" in output.read_text("utf-8-sig").splitlines()[0]


def test_score_dry_run_writes_nothing_and_shows_no_text(fake: Any, dump: Path, tmp_path: Path) -> None:
    result = run("score", dump, "--dry-run", "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "row 1 (10 characters); row 2 (11 characters); row 4" in result.stderr
    assert "column '评论内容'" in result.stderr
    assert "4 read, 1 blank, 0 rejected" in result.stderr
    assert "太挤" not in result.stderr
    assert list(tmp_path.iterdir()) == [dump]
    assert run("score", dump, "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("reviews.csv", "expected -o OUT"),
        ("", "Missing argument 'IN...'"),
        ("missing.csv -o out.csv", "missing.csv"),
        ("reviews.csv -o out.txt", "expected an output that ends in"),
        ("reviews.csv -o missing/out.csv", "expected a folder for the output"),
        ("reviews.csv -o reviews.csv", "--overwrite replaces it"),
        ("reviews.csv -o reviews.csv --overwrite", "found the input"),
        ("reviews.csv -o out.csv --text-col nothing", "nothing"),
        ("reviews.csv -o out.csv --dimensions seat", "found 'seat'"),
        ("reviews.csv -o out.csv --dimensions ,", "expected dimension keys"),
        ("reviews.csv -o out.csv --threshold seat=0.5", "found 'seat'"),
        ("reviews.csv -o out.csv --threshold 1.5", "with P between 0 and 1"),
        ("reviews.csv -o out.csv --threshold 0.5,price=0.4", "with P between 0 and 1"),
        ("reviews.csv -o out.csv --model .", "expected a checkpoint"),
        ("reviews.csv -o out.csv --taxonomy reviews.csv", "expected a mapping"),
        ("reviews.csv -o - --resume", "a stream cannot be resumed"),
        ("reviews.csv -o out.csv --layout tall", "tall"),
        ("reviews.csv -o out.csv --nonsense", "--nonsense"),
    ],
)
def test_score_wrong_usage_is_one_line_and_exit_code_2(
    fake: Any, dump: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, told: str
) -> None:
    monkeypatch.chdir(dump.parent)
    one_line(run("score", *arguments.split()), 2, told)
    assert list(dump.parent.iterdir()) == [dump]


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "cp1252"])
def test_score_narrow_console_never_raises(dump: Path, tmp_path: Path, encoding: str) -> None:
    for arguments in (["score", dump, "-o", "😀.csv", "--lang", "zh"], ["taxonomy", "--lang", "zh"], ["score", "😀"]):
        with start(tmp_path, *arguments, PYTHONIOENCODING=encoding, PYTHONUTF8="0") as process:
            _, errors = process.communicate(timeout=20)
        assert process.returncode == (2 if arguments == ["score", "😀"] else 0), errors
        assert b"Traceback" not in errors


def test_score_parquet_in_and_out(fake: Any, dump: Path, tmp_path: Path) -> None:
    assert run("score", dump, "-o", tmp_path / "a.parquet").exit_code == 0
    table = pq.read_table(tmp_path / "a.parquet").select(["input"]).flatten().rename_columns(["评论内容", "影院"])
    pq.write_table(table, tmp_path / "in.parquet")
    assert run("score", tmp_path / "in.parquet", "-o", tmp_path / "b.parquet").exit_code == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_score_several_files(fake: Any, dump: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("影院,评论内容\n万达,座位太挤了，看完腰疼\n", "utf-8")
    output = tmp_path / "out.csv"
    assert run("score", dump, other, "-o", output, "--layout", "long").exit_code == 0
    lines = list(csv.DictReader(output.read_text("utf-8-sig").splitlines()))
    assert [line["cs_source"] for line in lines] == [str(dump)] * 4 + [str(other)]
    assert lines[-1]["cs_id"] == f"{other}:1"


def test_score_shards_join(fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, whole = tmp_path / "out.csv", tmp_path / "whole" / "out.csv"
    whole.parent.mkdir()
    monkeypatch.setattr("sentiment.batch.ScoreOptions", partial(ScoreOptions, block_rows=1))  # 4 blocks
    assert run("score", dump, "-o", whole).exit_code == 0
    kept: list[list[str]] = []
    for number in (2, 1):
        result = run("score", dump, "-o", output, "--shard", f"{number}/2")
        assert result.exit_code == 0, result.stderr
        assert f"shard {number}/2 is done; when all are, the same command with --resume" in result.stderr
        kept.append(sorted(path.name[:11] for path in (tmp_path / "out.csv.partial").glob("part-*.parquet")))
    assert kept == [[f"part-{block:06d}" for block in blocks] for blocks in ((1, 3), (0, 1, 2, 3))]
    assert not output.exists()
    one_line(run("score", dump, "-o", output), 2, "--resume goes on with it")
    assert run("score", dump, "-o", output, "--resume").exit_code == 0
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--shard", "3/2"), "expected --shard i/n with i from 1 to n"),
        (("--shard", "1/2", "-o", "-"), "expected a file as output with --shard"),
        (("--engine", "ray", "-o", "-"), "expected a file as output with --shard or --engine ray"),
        (("--workers", "2", "-o", "x.csv"), "expected --workers with --engine ray"),
        (("--ray-address", "auto", "-o", "x.csv"), "expected --ray-address with --engine ray"),
        (("--engine", "spark", "-o", "x.csv"), "is not one of"),
    ],
)
def test_score_wrong_shards_and_engines(fake: Any, dump: Path, arguments: tuple[str, ...], told: str) -> None:
    one_line(run("score", dump, *arguments), 2, told)


def test_score_leaves_the_address_in_the_environment_to_engine_ray(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[RayOptions, Any]] = []

    def refuse(checkpoint: Any, options: RayOptions, *, tell: Any, **others: Any) -> Any:
        made.append((options, tell))
        raise ValueError("no cluster here")

    monkeypatch.setattr("sentiment.distributed.RayRunner", refuse)
    command = ("score", dump, "-o", tmp_path / "out.csv")
    one_line(run(*command, "--engine", "ray", "--workers", 2, "--ray-address", "auto"), 2, "no cluster here")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    one_line(run(*command, "--engine", "ray"), 2, "no cluster here")
    assert made == [(RayOptions("auto", 2, 1), say), (RayOptions("head:6379", None, 1), say)]
    assert run(*command).exit_code == 0


def test_score_limit(fake: Any, dump: Path, tmp_path: Path) -> None:
    assert run("score", dump, "-o", tmp_path / "out.jsonl", "--limit", 2).exit_code == 0
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 2


def test_score_names_its_runtime(fake: Any, dump: Path, tmp_path: Path) -> None:
    import onnxruntime

    told = f"ONNX Runtime {onnxruntime.__version__}, float32"
    assert f"runtime: {told}" in run("score", dump, "--dry-run").stderr
    result = run("score", dump, "-o", tmp_path / "out.csv")
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("runtime")]
    assert line.split(maxsplit=1)[1].strip() == told
    assert "推理引擎" in run("score", dump, "-o", "-", "--lang", "zh").stderr


def test_score_runtime_that_cannot_be_had_is_one_line(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.runtimes.exact_products", lambda: False)
    said = "expected a processor that adds products of int8 exactly"
    one_line(run("score", dump, "-o", tmp_path / "o.csv", "--runtime", "onnxruntime-int8"), 2, said)
    monkeypatch.setenv("CINESENT_RUNTIME", "onnxruntime-int8")
    one_line(run("score", dump, "-o", tmp_path / "o.csv"), 2, said)
    assert list(tmp_path.iterdir()) == [dump] and fake.calls == []
    assert run("score", dump, "-o", tmp_path / "o.csv", "--runtime", "auto").exit_code == 0


def test_score_resume_refuses_another_runtime(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"onnxruntime": "float32", "onnxruntime-int8": "int8"}
    choices = {name: Choice(name, "1.0", numbers) for name, numbers in names.items()}
    monkeypatch.setattr("sentiment.runtimes.choose_runtime", lambda name, _: choices[name])
    output = tmp_path / "out.csv"
    command = ("score", dump, "-o", output, "--runtime")
    monkeypatch.setattr(fake, "error", MemoryError())
    assert run(*command, "onnxruntime-int8").exit_code == 4
    monkeypatch.setattr(fake, "error", None)
    told = "options.runtime was onnxruntime-int8 1.0, int8, is onnxruntime 1.0, float32"
    one_line(run(*command, "onnxruntime", "--resume"), 2, told)
    assert run(*command, "onnxruntime-int8", "--resume").exit_code == 0 and output.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--encoding gb18030", "options.encoding was None, is gb18030"),
        ("--sheet 2", "options.sheet was None, is 2"),
        ("--no-header", "options.no_header was False, is True"),
        ("--input-format csv", "options.input_format was None, is csv"),
        ("--threshold 0.3", "options.threshold was None, is 0.3"),
    ],
)
def test_score_resume_refuses_what_is_read_or_decided_otherwise(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, told: str
) -> None:
    dump = tmp_path / "reviews.csv"
    dump.write_text("column_1,column_2\nseats,x\n", "ascii")  # reads alike in every way that is asked for
    output = tmp_path / "out.csv"
    command = ("score", dump, "-o", output, "--text-col", "column_1")
    monkeypatch.setattr(fake, "error", MemoryError())
    assert run(*command).exit_code == 4
    monkeypatch.setattr(fake, "error", None)
    one_line(run(*command, *arguments.split(), "--resume"), 2, told)
    assert not output.exists()
    assert run(*command, "--resume").exit_code == 0 and output.exists()
