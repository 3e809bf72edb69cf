from __future__ import annotations

import csv
import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import openpyxl
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sentiment.cli import Failure, main
from sentiment.report.files import appearing
from sentiment.tables import ReadOptions

VISITS = Path(__file__).parent.parent / "report" / "visits.parquet"
ROWS = 120


@pytest.fixture
def few(tmp_path: Path) -> Path:
    path = tmp_path / "few.parquet"
    pq.write_table(pq.read_table(VISITS).slice(0, ROWS), path)
    return path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def _one_line(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("cinesent: expected")]
    assert len(lines) == 1
    assert "Traceback" not in result.output
    return lines[0]


def test_json_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    arguments = (VISITS, "-o", out, "--since", "2026-03-01", "--by", "cinema", "--as-of", "2026-09-10")
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    first = out.read_bytes()
    report = json.loads(first)
    assert report["meta"]["texts"] > 2900
    assert report["meta"]["as_of"] == "2026-09-10"
    assert {c["kind"] for c in report["changes"]["comparisons"]} == {"since", "by"}
    changed = [c for c in report["changes"]["comparisons"][0]["cinemas"] if c["significant"]]
    assert (changed[0]["cinema"], changed[0]["key"]) == ("云杉影城·河东店", "seating")
    assert changed[0]["after"]["value"] > changed[0]["before"]["value"] + 20
    groups = [c for c in report["changes"]["comparisons"] if c["kind"] == "by"]
    assert {c["before"]["zh"] for c in groups} == {"其余"}
    assert sum(c["after_texts"] for c in groups) == report["meta"]["texts"]
    assert _run(*arguments, "--overwrite").exit_code == 0
    assert out.read_bytes() == first


def test_two_files_are_compared(tmp_path: Path) -> None:
    result = _run(VISITS, "--compare", VISITS, "-o", tmp_path / "r.json", "--lang", "en")
    assert result.exit_code == 0, result.output
    (found,) = json.loads((tmp_path / "r.json").read_text("utf-8"))["changes"]["comparisons"]
    assert found["kind"] == "compare"
    assert all(row["effect"]["value"] == 0 for row in found["cinemas"])
    assert not any(row["significant"] for row in found["rows"])


def test_files_compared_are_of_before(tmp_path: Path) -> None:
    """The sample's two halves: between them seats were repaired."""
    table = pq.read_table(VISITS)
    early = pc.less(pc.struct_field(table["input"], "日期"), "2026-03-01")
    before, after = tmp_path / "before.parquet", tmp_path / "after.parquet"
    pq.write_table(table.filter(early), before)
    pq.write_table(table.filter(pc.invert(early)), after)
    result = _run(after, "--compare", before, "-o", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads((tmp_path / "r.json").read_text("utf-8"))["changes"]["comparisons"]
    assert (found["before"]["zh"], found["after"]["zh"]) == (str(before), str(after))
    (seats,) = [row for row in found["cinemas"] if row["significant"]]
    assert (seats["cinema"], seats["key"]) == ("云杉影城·河东店", "seating")
    assert seats["after"]["value"] > seats["before"]["value"] + 20
    assert next(row for row in found["rows"] if row["key"] == "seating")["difference"]["value"] > 0


def test_the_suffix_names_the_format(few: Path, tmp_path: Path) -> None:
    page, book = tmp_path / "r.html", tmp_path / "r.xlsx"
    assert _run(few, "-o", page).exit_code == 0
    assert "<html" in page.read_text("utf-8") and not page.with_suffix(".rows.csv").exists()
    assert _run(few, "-o", page, "--rows").exit_code == 2
    assert _run(few, "-o", page, "--rows", "--overwrite").exit_code == 0
    with page.with_suffix(".rows.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + ROWS and all(row[0] for row in rows)
    assert _run(few, "-o", book, "--lang", "en").exit_code == 0
    sheets = openpyxl.load_workbook(book, read_only=True).worksheets
    assert len(sheets) > 6 and sum(1 for _ in sheets[-1].iter_rows()) > ROWS


def test_columns_are_those_named(tmp_path: Path) -> None:
    """Names that nobody could find, and dates that may be read in two ways."""
    names = {"日期": "a", "影院": "b", "评分": "c", "客户": "d", "回复": "e", "评论": "f"}
    flags = ("--date-col", "--cinema-col", "--rating-col", "--customer-col", "--reply-col", "--text-col")
    lines = []
    for number, row in enumerate(pq.read_table(VISITS).slice(0, ROWS).to_pylist()):
        cells = {names[name]: value for name, value in row["input"].items()} | {"g": f"n{number}"}
        cells["a"] = f"{1 + number % 12:02}/03/2026"
        lines.append(json.dumps(row | {"input": cells}, ensure_ascii=False) + "\n")
    source, out = tmp_path / "s.jsonl", tmp_path / "r.json"
    source.write_text("".join(lines), "utf-8")
    given = [part for flag, name in zip(flags, names.values(), strict=True) for part in (flag, name)]
    result = _run(source, "-o", out, *given, "--id-col", "g", "--date-order", "day", "--seed", "5")
    assert result.exit_code == 0, result.output
    meta = json.loads(out.read_text("utf-8"))["meta"]
    assert meta["columns"] == {
        "text": "f", "id": "g", "date": "a", "cinema": "b", "rating": "c", "customer": "d", "reply": "e",
    }  # fmt: skip
    assert (meta["first"], meta["last"], meta["seed"]) == ("2026-03-01", "2026-03-12", 5)


def test_what_is_read_is_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = []

    def spy(paths: Any, taxonomy: Any, **options: Any) -> Any:
        del options["load"]
        calls.append((paths, options))
        raise Failure("expected no more")

    monkeypatch.setattr("sentiment.report.read.read_scored", spy)
    roles = ("date", "cinema", "rating", "customer", "reply")
    given = [part for role in roles for part in (f"--{role}-col", f"the {role}")]
    reading = ("--text-col", "T", "--id-col", "I", "--sheet", "S", "--encoding", "gbk")
    arguments = ("a.xlsx", "b.csv", "-o", tmp_path / "r.json", *given, *reading)
    _one_line(_run(*arguments, "--by", "厅", "--date-order", "month"), 2)
    assert calls == [
        (
            ("a.xlsx", "b.csv"),
            {
                "given": {role: f"the {role}" for role in roles}, "by": "厅", "date_order": "month",
                "options": ReadOptions(text_column="T", id_column="I", sheet="S", encoding="gbk"),
            },
        )
    ]  # fmt: skip


def test_the_trend_is_by_the_period_asked_for(tmp_path: Path) -> None:
    counts = {}
    for period in ("week", "month"):
        out = tmp_path / f"{period}.json"
        assert _run(VISITS, "-o", out, "--period", period).exit_code == 0
        trend = json.loads(out.read_text("utf-8"))["changes"]["trend"]
        assert trend["period"] == period
        counts[period] = len(trend["starts"])
    assert counts["month"] == 12 and 50 <= counts["week"] <= 54


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "report.pdf"], ".html"),
        (["-o", "nowhere/report.json"], "folder"),
        (["-o", "old.json"], "--overwrite"),
        (["-o", "r.json", "--cinema-col", "没有"], "--cinema-col"),
        (["-o", "r.json", "--by", "没有"], "--by"),
        (["-o", "r.json", "--since", "昨天"], "date"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("kept")
    result = _run(VISITS, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert Path("old.json").read_text() == "kept"
    assert not Path("r.json").exists()


def test_missing_input_is_one_line(tmp_path: Path) -> None:
    assert "nothing at" in _one_line(_run(tmp_path / "no.csv", "-o", tmp_path / "r.json"), 2)


def test_broken_rows_end_with_1(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    record = {"overall": None, "intent": None, "escalation": None, "dimensions": [], "status": "empty", "input": {}}
    path.write_text(json.dumps(record) + "\n{broken\n", "utf-8")
    result = _run(path, "-o", tmp_path / "r.json")
    assert result.exit_code == 1, result.output
    notes = {note["code"] for note in json.loads((tmp_path / "r.json").read_text("utf-8"))["notes"]}
    assert {"rejected", "no_rows"} <= notes


def test_broken_rows_of_the_files_compared_end_with_1(tmp_path: Path) -> None:
    record = {"overall": None, "intent": None, "escalation": None, "dimensions": [], "status": "empty", "input": {}}
    (tmp_path / "s.jsonl").write_text(json.dumps(record) + "\n", "utf-8")
    (tmp_path / "before.jsonl").write_text(json.dumps(record) + "\n{broken\n", "utf-8")
    result = _run(tmp_path / "s.jsonl", "--compare", tmp_path / "before.jsonl", "-o", tmp_path / "r.json")
    assert result.exit_code == 1, result.output


@pytest.mark.parametrize("suffix", [".xlsx", ".json"])
def test_report_never_replaces_what_it_reads(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"scored{suffix}"
    source.write_bytes(b"as it was")
    result = _run(source, "-o", source, "--overwrite")
    assert "expected another file as output, found the input" in _one_line(result, 2)
    result = _run(VISITS, "--compare", source, "-o", source, "--overwrite")
    assert "expected another file as output, found the input" in _one_line(result, 2)
    assert source.read_bytes() == b"as it was"


@pytest.mark.parametrize("suffix", [".html", ".xlsx", ".json"])
def test_report_on_a_full_disk_leaves_the_old_one(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def full(output: Path) -> Iterator[IO[bytes]]:
        with appearing(output) as stream:
            stream.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
            yield stream

    for module in ("page", "schema", "workbook"):
        monkeypatch.setattr(f"sentiment.report.{module}.appearing", full)
    output = tmp_path / f"report{suffix}"
    output.write_bytes(b"the old one")
    result = _run(VISITS, "-o", output, "--overwrite")
    assert (result.exit_code, output.read_bytes()) == (4, b"the old one"), result.output
    assert f"stopped: the disk is full ({output}); what was there before is as it was" in result.stderr
    assert list(tmp_path.iterdir()) == [output]
