from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sentiment.cli import VERBS, main

# A stand-in for sentiment.analyzer, for this process and for those that the tests start.
FAKE = """
import hashlib, os, time
from sentiment.records import Analysis, Mention
from sentiment.taxonomy import load_taxonomy

class CheckpointError(ValueError):
    pass

class Analyzer:
    name, hash = "fake@00000000", "00000000"
    calls = []
    error = None

    def __init__(self, taxonomy):
        self.taxonomy = taxonomy

    @classmethod
    def load(cls, path=None, **options):
        cls.calls.append((path, options))
        if path is not None and not (path / "config.json").exists():
            raise CheckpointError(f"expected a checkpoint, found none in {path}")
        own = load_taxonomy()
        return cls(own if options.get("taxonomy") is None else own.with_names_of(options["taxonomy"]))

    def analyze_block(self, texts, ids=None):
        if self.error is not None:
            raise self.error
        if os.environ.get("FAKE_WAIT"):
            print("waiting", flush=True)
            time.sleep(60)
        return [self.one(text) for text in texts]

    def one(self, text):
        if not text.strip():
            return Analysis(self.name, None, "empty", "other")
        at = text.find("座")
        found = () if at < 0 else (Mention("seating", "negative", 0.9, "座", at, at + 1, "工程"),)
        return Analysis(self.name, None, "ok", "hans", "negative", 0.9, "complaint", 0.8, False, 0.7, dimensions=found,
                        probabilities={key: (0.5, 0.25, 0.125) for key in self.taxonomy.keys})
"""

ROWS = "评论内容,影院\n座位太挤了，看完腰疼,万达\n环境还可以吧，下次再来,=1+1\n,金逸\n座位太挤了，看完腰疼,中影\n"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = types.ModuleType("sentiment.analyzer")
    exec(FAKE, module.__dict__)
    monkeypatch.setitem(sys.modules, "sentiment.analyzer", module)
    yield module.Analyzer


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text(ROWS, "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_line(result: Result, code: int, told: str) -> None:
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if told in line]
    assert line.startswith("cinesent: ")
    assert result.stderr.splitlines()[-1] == line


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
def test_score_every_format(fake: Any, dump: Path, tmp_path: Path, suffix: str, layout: str) -> None:
    output = tmp_path / f"out{suffix}"
    assert run("score", dump, "-o", output, "--layout", layout, "--probabilities").exit_code == 0
    again = tmp_path / f"again{suffix}"
    assert run("score", dump, "-o", again, "--layout", layout, "--probabilities").exit_code == 0
    if suffix != ".xlsx":
        assert output.read_bytes() == again.read_bytes()


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
    records = [json.loads(line) for line in result.stdout_bytes.decode().splitlines()]
    assert [record["id"] for record in records] == ["1", "2", "3", "4"]
    assert records[0]["dimensions"][0]["dimension"] == "seating"
    assert records[1]["input"]["影院"] == "=1+1"


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
            },
        )
    ]


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


def test_score_unfinished_job_is_refused_then_resumed(fake: Any, dump: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    fake.error = OSError(errno.ENOSPC, "No space left on device")
    one_line(run("score", dump, "-o", output), 4, "the disk is full; finished blocks are kept")
    fake.error = None
    one_line(run("score", dump, "-o", output), 2, "--resume goes on with it")
    one_line(run("score", dump, "-o", output, "--resume", "--layout", "long"), 2, "options.layout was wide, is long")
    assert run("score", dump, "-o", output, "--resume", "--threads", "1").exit_code == 0


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("座位太挤了"), 4, "internal error, ValueError"),
        (MemoryError(), 4, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted; finished blocks are kept"),
    ],
)
def test_score_stopped_midway(
    fake: Any, dump: Path, tmp_path: Path, error: BaseException, code: int, told: str
) -> None:
    fake.error = error
    result = run("score", dump, "-o", tmp_path / "out.csv")
    one_line(result, code, told)
    assert "--resume" in result.stderr
    assert "太挤" not in result.stderr


def start(tmp_path: Path, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys, types\n"
        "module = types.ModuleType('sentiment.analyzer')\n"
        f"exec({FAKE!r}, module.__dict__)\n"
        "sys.modules['sentiment.analyzer'] = module\n"
        "from sentiment.cli import main\n"
        "main()\n"
    )
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell lets its background jobs ignore SIGINT, and what they start inherits that.
        preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_score_signals_keep_finished_parts(dump: Path, tmp_path: Path, number: str, code: int) -> None:
    with start(tmp_path, "score", dump, "-o", "out.csv", FAKE_WAIT="1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(getattr(signal, number))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"--resume goes on" in errors.splitlines()[-1]
    assert b"Traceback" not in errors
    assert (tmp_path / "out.csv.partial" / "manifest.json").exists()
    with start(tmp_path, "score", dump, "-o", "out.csv", "--resume") as process:
        process.communicate(timeout=20)
    assert process.returncode == 0


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


def test_score_shards_join(fake: Any, dump: Path, tmp_path: Path) -> None:
    output, whole = tmp_path / "out.csv", tmp_path / "whole" / "out.csv"
    whole.parent.mkdir()
    assert run("score", dump, "-o", whole).exit_code == 0
    for number in (2, 1):
        result = run("score", dump, "-o", output, "--shard", f"{number}/2")
        assert result.exit_code == 0, result.stderr
        assert f"shard {number}/2 is done; when all are, the same command with --resume" in result.stderr
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
        (("--engine", "spark", "-o", "x.csv"), "is not one of"),
    ],
)
def test_score_wrong_shards_and_engines(fake: Any, dump: Path, arguments: tuple[str, ...], told: str) -> None:
    one_line(run("score", dump, *arguments), 2, told)


def test_score_limit(fake: Any, dump: Path, tmp_path: Path) -> None:
    assert run("score", dump, "-o", tmp_path / "out.jsonl", "--limit", 2).exit_code == 0
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 2


# The group and the other verbs


def test_cli_help_loads_no_library() -> None:
    code = (
        "import sys\nfrom sentiment.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'pyarrow', 'onnxruntime', 'numpy', 'rich', 'openpyxl', 'tokenizers', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert b"Usage: cinesent [OPTIONS] COMMAND" in done.stdout


def test_cli_lists_the_verbs_that_are_there() -> None:
    result = run("--help")
    folder = Path(sys.modules["sentiment.cli"].__file__ or "").parent
    for verb, told in VERBS.items():
        assert (told in result.stdout) == ((folder / f"{verb}.py").exists() or (folder / verb).is_dir())


def test_cli_help_of_score_explains_every_option() -> None:
    result = run("score", "--help")
    assert result.exit_code == 0
    names = (
        "text-col id-col sheet no-header encoding input-format layout lang dimensions threshold probabilities model "
        "taxonomy batch-size threads max-memory engine workers ray-address shard resume overwrite limit dry-run output"
    )
    for name in names.split():
        assert f"--{name}" in result.stdout
    for told in ("Examples:", "Exit codes:", "OUT.partial", "OUT.rejects.jsonl"):
        assert told in result.stdout


def test_cli_unknown_verb_and_no_verb() -> None:
    one_line(run("scor"), 2, "No such command 'scor'")
    assert run().exit_code == 2


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("torch.nn", 2, 'this needs an extra: pip install "cinesent[train]"'),
        ("fastapi", 2, 'this needs an extra: pip install "cinesent[serve]"'),
        ("ray", 2, 'this needs an extra: pip install "cinesent[ray]"'),
        ("pyarrow", 2, "the module pyarrow is missing or broken"),
        ("sentiment.tables", 4, "internal error"),
    ],
)
def test_cli_missing_module_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, code: int, told: str) -> None:
    def missing(*args: Any) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("sentiment.taxonomy.load_taxonomy", missing)
    one_line(run("taxonomy"), code, told)


def test_taxonomy_prints_names_and_lenses() -> None:
    english, chinese = run("taxonomy"), run("taxonomy", "--lang", "zh")
    assert english.exit_code == chinese.exit_code == 0
    assert "audience order" in english.stdout
    assert "servqual" in english.stdout
    assert "座椅视野" in chinese.stdout
    assert "首问部门" in chinese.stdout
    data = json.loads(run("taxonomy", "--json").stdout_bytes)
    assert len(data["dimensions"]) == 18
    assert data["dimensions"][0]["zh"] == "影片内容"


def test_taxonomy_of_a_checkpoint(fake: Any, tmp_path: Path) -> None:
    one_line(run("taxonomy", "--model", tmp_path), 2, "expected a checkpoint")
    (tmp_path / "config.json").write_text("{}")
    assert run("taxonomy", "--model", tmp_path).exit_code == 0
