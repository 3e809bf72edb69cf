from __future__ import annotations

import csv
import datetime as dt
import errno
import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.batch import ScoreOptions, Tick, score, stream
from sentiment.parts import PartStore, StoppedError, Summary, partial_folder, rejects_file
from sentiment.records import Analysis, Mention
from sentiment.tables.base import Reject, Row, Table, TableError
from sentiment.taxonomy import Taxonomy, load_taxonomy


class FakeAnalyzer:
    """Labels from a hash of the text; `fail_at` raises at that block, `error` is what."""

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.name, self.hash = "fake@00000000", "00000000"
        self.taxonomy: Taxonomy = load_taxonomy()
        self.blocks: list[list[str]] = []
        self._fail_at, self._error = fail_at, error or RuntimeError("座位太挤")

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]:
        if len(self.blocks) == self._fail_at:
            raise self._error
        self.blocks.append(list(texts))
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Analysis:
        if not text.strip():
            return Analysis(self.name, None, "empty", "other")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        keys = self.taxonomy.keys
        mentions = [
            Mention(
                keys[digest[i] % len(keys)],
                "negative" if digest[i] % 2 else "positive",
                0.5 + digest[i] / 512,
                text[:2],
                0,
                2,
                "工程",
            )
            for i in range(digest[9] % 3)
        ]
        return Analysis(
            *(self.name, None, "ok", "hans", "negative", digest[0] / 256, "complaint", 0.75, bool(digest[1] % 2), 0.25),
            dimensions=tuple({mention.dimension: mention for mention in mentions}.values()),
            tokens=len(text),
            windows=1,
            probabilities=dict.fromkeys(keys, (digest[2] / 512, 0.125, digest[3] / 512)),
        )


@dataclass
class FakeReader:
    items: list[Row | Reject]
    path: Path
    name: str = "in.csv"
    columns: list[str] = field(default_factory=list)

    reading: bool = False

    def rows(self) -> Iterator[Row | Reject]:
        self.reading = True
        try:
            yield from self.items
        finally:
            self.reading = False

    def position(self) -> int:
        return 0


def make_table(tmp_path: Path, cells: list[dict[str, Any]], rejects: Sequence[int] = (), **options: Any) -> Table:
    """A table of these rows; before the rows numbered in `rejects` a rejected one."""
    path = tmp_path / "in.csv"
    path.write_bytes(json.dumps(cells, default=str).encode())
    items: list[Row | Reject] = []
    for number, row in enumerate(cells, 1):
        if number in rejects:
            items.append(Reject("in.csv", number, "ragged", f"raw {number}"))
        items.append(Row("in.csv", number, row))
    columns = list(cells[0]) if cells else ["text"]
    defaults: dict[str, Any] = {"text_column": "text", "id_column": None, "notes": [], "schema": None, "size": None}
    return Table(columns, **(defaults | options), bytes_total=1, readers=[FakeReader(items, path)])


def many(count: int) -> list[dict[str, Any]]:
    return [{"text": f"座位太挤{i % 7}", "film": str(i)} for i in range(count)]


def options(**values: Any) -> ScoreOptions:
    return ScoreOptions(block_rows=5, **values)


def read_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text("utf-8-sig").splitlines()))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz"])
def test_batch_resumed_job_writes_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    whole, broken = tmp_path / f"whole{suffix}", tmp_path / "b" / f"whole{suffix}"
    broken.parent.mkdir()
    table = make_table(tmp_path, many(23), rejects=[3, 12])
    score(table, FakeAnalyzer(), whole, options(probabilities=True))
    with pytest.raises(StoppedError, match="--resume"):
        score(table, FakeAnalyzer(fail_at=3), broken, options(probabilities=True))
    assert not broken.exists()
    assert partial_folder(broken).is_dir()
    analyzer = FakeAnalyzer()
    summary = score(table, analyzer, broken, options(probabilities=True, resume=True))
    assert len(analyzer.blocks) == 2
    assert (summary.rows, summary.scored, summary.rejected) == (23, 8, 2)
    if suffix == ".xlsx":
        one, other = (list(openpyxl.load_workbook(path).active.values) for path in (whole, broken))
        assert one == other
    else:
        assert whole.read_bytes() == broken.read_bytes()
    assert rejects_file(whole).read_bytes() == rejects_file(broken).read_bytes()
    assert sorted(path.name for path in broken.parent.iterdir()) == [broken.name, f"{broken.name}.rejects.jsonl"]


def test_batch_every_row_is_in_the_output(tmp_path: Path) -> None:
    cells: list[dict[str, Any]] = [
        {"text": value} for value in ("好", "", None, 5, 2.5, True, "  ", b"\xe5\xa5\xbd", "\ud800")
    ]
    output = tmp_path / "out.jsonl"
    summary = score(make_table(tmp_path, cells), FakeAnalyzer(), output, options())
    records = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [record["id"] for record in records] == [str(i) for i in range(1, 10)]
    assert [record["status"] for record in records] == ["ok", "empty", "empty", "ok", "ok", "ok", "empty", "ok", "ok"]
    assert [record["input"]["text"] for record in records] == ["好", "", None, 5, 2.5, True, "  ", "好", "\ud800"]
    assert records[1]["overall"] is records[1]["intent"] is records[1]["escalation"] is None
    assert summary.statuses == {"ok": 6, "empty": 3}


def test_batch_scores_equal_texts_once_a_block(tmp_path: Path) -> None:
    analyzer = FakeAnalyzer()
    cells = [{"text": text} for text in ["a", "b", "a", "a", "b", "a"]]
    summary = score(make_table(tmp_path, cells), analyzer, tmp_path / "out.jsonl", options())
    assert analyzer.blocks == [["a", "b"], ["a"]]
    assert (summary.rows, summary.texts) == (6, 3)


def test_batch_ids_from_the_column_else_the_row(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    cells: list[dict[str, Any]] = [{"text": "好", "no": 17}, {"text": "好", "no": None}, {"text": "好", "no": "x"}]
    score(make_table(tmp_path, cells, id_column="no"), FakeAnalyzer(), output, options())
    assert [json.loads(line)["id"] for line in output.read_text("utf-8").splitlines()] == ["17", "2", "x"]


def test_batch_ids_name_the_file_where_there_are_several(tmp_path: Path) -> None:
    table = make_table(tmp_path, [{"text": "好", "cs_source": "a.csv"}], rejects=[1])
    other = FakeReader([Row("b.csv", 1, {"text": "差"})], tmp_path / "in.csv", "b.csv")
    table.readers.append(other)
    output = tmp_path / "out.csv"
    score(table, FakeAnalyzer(), output, options(layout="long"))
    header, *lines = read_csv(output)
    assert header[:3] == ["text", "cs_source", "cs_id"]
    assert {(line[1], line[2]) for line in lines} == {("a.csv", "in.csv:1"), ("b.csv", "b.csv:1")}
    reject = json.loads(rejects_file(output).read_text("utf-8"))
    assert reject == {"source": "in.csv", "row": 1, "reason": "ragged", "raw": "raw 1"}


def test_batch_rejects_are_listed_and_a_stale_list_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    summary = score(make_table(tmp_path, many(7), rejects=[2, 6]), FakeAnalyzer(), output, options())
    lines = [json.loads(line) for line in rejects_file(output).read_text("utf-8").splitlines()]
    assert lines == [{"row": 2, "reason": "ragged", "raw": "raw 2"}, {"row": 6, "reason": "ragged", "raw": "raw 6"}]
    assert (summary.rejected, summary.rejects) == (2, str(rejects_file(output)))
    summary = score(make_table(tmp_path, many(7)), FakeAnalyzer(), output, options(overwrite=True))
    assert not rejects_file(output).exists()
    assert summary.rejects is None


def test_batch_rejects_after_the_last_row(tmp_path: Path) -> None:
    table = make_table(tmp_path, many(5))
    table.readers[0].items.append(Reject("in.csv", 6, "ragged", "x"))  # type: ignore[attr-defined]
    for suffix in (".parquet", ".jsonl", ".xlsx"):
        summary = score(table, FakeAnalyzer(), tmp_path / f"out{suffix}", options())
        assert (summary.rows, summary.rejected) == (5, 1)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".jsonl", ".parquet"])
def test_batch_input_without_rows(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    summary = score(make_table(tmp_path, []), FakeAnalyzer(), output, options())
    assert output.exists()
    assert summary.rows == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layout": "long"}, "options.layout was wide, is long"),
        ({"lang": "zh"}, "options.lang"),
        ({"settings": {"threshold": 0.5}}, "options.threshold"),
        ({"dimensions": ("price",)}, "options.dimensions"),
    ],
)
def test_batch_resume_refuses_other_options(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    output, table = tmp_path / "out.csv", make_table(tmp_path, many(12))
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=1), output, options())
    with pytest.raises(TableError, match=told):
        score(table, FakeAnalyzer(), output, options(resume=True, **change))


def test_batch_resume_refuses_another_input_or_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(StoppedError):
        score(make_table(tmp_path, many(12)), FakeAnalyzer(fail_at=1), output, options())
    other = FakeAnalyzer()
    other.hash = "11111111"
    with pytest.raises(TableError, match=r"checkpoint\.hash was 00000000, is 11111111"):
        score(make_table(tmp_path, many(12)), other, output, options(resume=True))
    with pytest.raises(TableError, match=r"input\.files\[0\]\.sha256"):
        score(make_table(tmp_path, many(13)), FakeAnalyzer(), output, options(resume=True))
    (partial_folder(output) / "manifest.json").unlink()
    with pytest.raises(TableError, match="found none that can be read"):
        score(make_table(tmp_path, many(12)), FakeAnalyzer(), output, options(resume=True))
    summary = score(make_table(tmp_path, many(13)), FakeAnalyzer(), output, options(overwrite=True))
    assert summary.scored == 13


def test_batch_resume_refuses_what_another_version_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table = tmp_path / "out.csv", make_table(tmp_path, many(12))
    with monkeypatch.context() as patch:
        patch.setattr("sentiment.batch.__version__", "0.0.1")
        with pytest.raises(StoppedError):
            score(table, FakeAnalyzer(fail_at=1), output, options())
    with pytest.raises(TableError, match=r"version was 0\.0\.1, is "):
        score(table, FakeAnalyzer(), output, options(resume=True))


def test_batch_two_that_resume_at_once_leave_a_whole_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table = tmp_path / "out.jsonl", make_table(tmp_path, many(40), rejects=[3])
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=7), output, options())

    def second(tick: Tick) -> None:  # while the first writes, and in its middle
        if tick.phase == "write" and tick.position == 3 and not output.exists():
            with monkeypatch.context() as patch:
                patch.setattr(PartStore, "remove", lambda store: None)  # it comes to that a moment later
                score(table, FakeAnalyzer(), output, options(resume=True))

    summary = score(table, FakeAnalyzer(), output, options(resume=True), second)
    lines = output.read_bytes().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(number) for number in range(1, 41)]
    assert summary.rejected == len(rejects_file(output).read_bytes().splitlines()) == 1


def test_batch_resume_scores_a_damaged_part_again(tmp_path: Path) -> None:
    output, table = tmp_path / "out.jsonl", make_table(tmp_path, many(12))
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=2), output, options())
    PartStore(partial_folder(output)).path(0).write_bytes(b"")
    assert score(table, FakeAnalyzer(), output, options(resume=True)).scored == 7
    assert len(output.read_bytes().splitlines()) == 12


def test_batch_resume_without_an_unfinished_job_starts_one(tmp_path: Path) -> None:
    assert score(make_table(tmp_path, many(3)), FakeAnalyzer(), tmp_path / "out.csv", options(resume=True)).scored == 3


def test_batch_refuses_what_is_in_the_way(tmp_path: Path) -> None:
    table, analyzer, output = make_table(tmp_path, many(3)), FakeAnalyzer(), tmp_path / "out.csv"
    partial_folder(output).mkdir()
    with pytest.raises(TableError, match="--resume goes on with it"):
        score(table, analyzer, output, options())
    partial_folder(output).rmdir()
    output.write_text("mine")
    with pytest.raises(TableError, match="--overwrite replaces it"):
        score(table, analyzer, output, options())
    assert output.read_text() == "mine"
    with pytest.raises(TableError, match="found none at"):
        score(table, analyzer, tmp_path / "missing" / "out.csv", options())
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match="found something else"):
        score(table, analyzer, tmp_path / "folder.csv", options(overwrite=True))
    with pytest.raises(TableError, match=r"\.csv, \.tsv, \.xlsx, \.jsonl, \.parquet"):
        score(table, analyzer, tmp_path / "out.txt", options())
    assert analyzer.blocks == []


def test_batch_no_permission_is_found_before_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    analyzer = FakeAnalyzer()
    with pytest.raises(TableError, match=r"cannot write .*Permission denied"):
        score(make_table(tmp_path, many(3)), analyzer, tmp_path / "out.csv", options())
    assert analyzer.blocks == []


@pytest.mark.parametrize("module", ["sentiment.parts", "sentiment.batch"])
def test_batch_full_disk_stops_and_resumes(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table, calls = tmp_path / "out.csv", make_table(tmp_path, many(12)), 0

    def full(handle: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3 or module == "sentiment.batch":  # of the parts: after the manifest and the first part
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.sync", full)
        with pytest.raises(StoppedError, match=r"the disk is full; .*--resume goes on"):
            score(table, FakeAnalyzer(), output, options())
    assert [path.name for path in tmp_path.iterdir() if path.name != "in.csv"] == ["out.csv.partial"]
    summary = score(table, FakeAnalyzer(), output, options(resume=True))
    assert summary.scored == (7 if module == "sentiment.parts" else 0)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".xlsx", ".jsonl", ".parquet"])
def test_batch_full_disk_while_a_writer_writes(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table = tmp_path / f"out{suffix}", make_table(tmp_path, many(12))
    error = OSError(errno.ENOSPC, "No space left on device")
    opened = Path.open

    class Full:
        """A file on a full disk."""

        def __init__(self, handle: Any) -> None:
            self._handle = handle

        def write(self, data: bytes) -> int:
            raise error

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handle, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *args: object) -> None:
            self._handle.close()

    def open_full(self: Path, *args: Any, **kwargs: Any) -> Any:
        handle = opened(self, *args, **kwargs)
        return Full(handle) if self.name.startswith(".out") else handle

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        with pytest.raises(StoppedError, match="the disk is full"):
            score(table, FakeAnalyzer(), output, options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", f"out{suffix}.partial"]
    assert score(table, FakeAnalyzer(), output, options(resume=True)).scored == 0


def test_batch_internal_error_names_the_place_but_no_text(tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match=r"internal error, RuntimeError in test_batch\.py, line \d+") as caught:
        score(make_table(tmp_path, many(3)), FakeAnalyzer(fail_at=0), tmp_path / "out.csv", options())
    assert "座位" not in str(caught.value)


def test_batch_input_is_closed_when_a_job_stops_midway(tmp_path: Path) -> None:
    table = make_table(tmp_path, many(23))
    (reader,) = table.readers
    assert isinstance(reader, FakeReader)
    with pytest.raises(StoppedError) as stopped:  # holds the frames of what was being read
        score(table, FakeAnalyzer(fail_at=1), tmp_path / "out.csv", options())
    assert (stopped.value.__traceback__ is not None, reader.reading) == (True, False)
    with pytest.raises(StoppedError) as stopped, (tmp_path / "out.jsonl").open("wb") as handle:
        stream(table, FakeAnalyzer(fail_at=1), handle, options())
    assert (stopped.value.__traceback__ is not None, reader.reading) == (True, False)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_batch_interrupt_keeps_finished_parts(tmp_path: Path, error: BaseException) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(type(error)):
        score(make_table(tmp_path, many(12)), FakeAnalyzer(1, error), output, options())
    assert PartStore(partial_folder(output)).rows(0) == 5
    assert not output.exists()


def test_batch_input_that_breaks_midway_is_an_input_error(tmp_path: Path) -> None:
    table = make_table(tmp_path, many(12))

    def rows() -> Iterator[Row | Reject]:
        yield from table.readers[0].items[:7]  # type: ignore[attr-defined]
        raise TableError("expected the rest of the archive, found its end")

    table.readers[0].rows = rows  # type: ignore[method-assign]
    with pytest.raises(TableError, match="rest of the archive"):
        score(table, FakeAnalyzer(), tmp_path / "out.csv", options())


def test_batch_columns_of_ours_are_refused_then_replaced(tmp_path: Path) -> None:
    cells = [{"text": "座位太挤", "cs_overall": "old", "cs_mine": "kept"}]
    table, output = make_table(tmp_path, cells), tmp_path / "out.csv"
    with pytest.raises(TableError, match="cs_overall; --overwrite replaces"):
        score(table, FakeAnalyzer(), output, options())
    score(table, FakeAnalyzer(), output, options(overwrite=True))
    header, line = read_csv(output)
    assert header[:3] == ["text", "cs_mine", "cs_overall"]
    assert line[:3] == ["座位太挤", "kept", "negative"]


def test_batch_keys_beyond_the_sample_become_columns(tmp_path: Path) -> None:
    cells: list[dict[str, Any]] = [{"text": "好"}, {"text": "差", "late": 5}]
    table = make_table(tmp_path, cells)
    score(table, FakeAnalyzer(), tmp_path / "out.csv", options())
    assert [line[:2] for line in read_csv(tmp_path / "out.csv")] == [["text", "late"], ["好", ""], ["差", "5"]]
    score(table, FakeAnalyzer(), tmp_path / "out.parquet", options())
    assert pq.read_table(tmp_path / "out.parquet")["input"].to_pylist() == [
        {"text": "好", "late": None},
        {"text": "差", "late": 5},
    ]


def test_batch_columns_that_the_output_cannot_have_are_refused_before_scoring(tmp_path: Path) -> None:
    wide = {"text": "好"} | {f"c{i}": i for i in range(16_384)}
    analyzer = FakeAnalyzer()
    with pytest.raises(TableError, match="at most 16384 columns for XLSX"):
        score(make_table(tmp_path, [wide]), analyzer, tmp_path / "out.xlsx", options())
    assert not partial_folder(tmp_path / "out.xlsx").exists()
    for late, told in ((wide, "at most 16384"), ({"text": "好", "cs_overall": ""}, "columns of ours")):
        cells: list[dict[str, Any]] = [{"text": "好"}, *many(5), late, *many(50)]
        with pytest.raises(TableError, match=told):
            score(make_table(tmp_path, cells), analyzer, tmp_path / "out.xlsx", options(overwrite=False))
        shutil.rmtree(partial_folder(tmp_path / "out.xlsx"))
    assert len(analyzer.blocks) <= 2, "no block after the one with such a column"


def test_batch_dimensions_limit_columns_mentions_and_probabilities(tmp_path: Path) -> None:
    table, chosen = make_table(tmp_path, many(40)), ("seating", "price")
    score(table, FakeAnalyzer(), tmp_path / "out.csv", options(dimensions=chosen))
    own = [name for name in read_csv(tmp_path / "out.csv")[0] if name.startswith("cs_")]
    assert own[8:] == [f"cs_{key}{part}" for key in chosen for part in ("", "_confidence", "_evidence")]
    summary = score(table, FakeAnalyzer(), tmp_path / "out.jsonl", options(dimensions=chosen, probabilities=True))
    assert set(summary.dimensions) <= set(chosen)
    for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        assert list(record["probabilities"]) == list(chosen)
        assert {mention["dimension"] for mention in record["dimensions"]} <= set(chosen)


def test_batch_parquet_input_keeps_its_types(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("text", pa.large_string()),
            ("stars", pa.int8()),
            ("price", pa.decimal128(8, 2)),
            ("when", pa.timestamp("ms", "Asia/Shanghai")),
            ("tags", pa.list_(pa.string())),
            ("blob", pa.binary()),
            ("kind", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    when = dt.datetime(2024, 5, 1, 20, 30, tzinfo=dt.timezone.utc)
    value = pa.scalar("39.90").cast(pa.decimal128(8, 2)).as_py()
    cells = [{"text": "好", "stars": 5, "price": value, "when": when, "tags": ["a"], "blob": b"\xff", "kind": "k"}]
    cells.append(dict.fromkeys(cells[0]))
    table = make_table(tmp_path, cells, schema=schema)
    score(table, FakeAnalyzer(), tmp_path / "out.parquet", options())
    found = pq.read_table(tmp_path / "out.parquet")
    assert list(found.schema.field("input").type) == list(schema)
    assert found["input"].to_pylist() == cells
    score(table, FakeAnalyzer(), tmp_path / "out.jsonl", options())
    line = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0]
    assert '"price":39.90' in line
    assert json.loads(line)["input"]["blob"] == "/w=="


def test_batch_stream_equals_the_file(tmp_path: Path) -> None:
    table, output = make_table(tmp_path, many(12), rejects=[4]), tmp_path / "out.jsonl"
    score(table, FakeAnalyzer(), output, options(probabilities=True))
    told: list[Reject] = []
    with (tmp_path / "stream").open("wb") as handle:
        summary = stream(table, FakeAnalyzer(), handle, options(probabilities=True), rejected=told.append)
    assert (tmp_path / "stream").read_bytes() == output.read_bytes()
    assert [reject.number for reject in told] == [4]
    assert (summary.rows, summary.rejected) == (12, 1)


def test_batch_summary_counts(tmp_path: Path) -> None:
    output, analyzer = tmp_path / "out.jsonl", FakeAnalyzer()
    summary = score(make_table(tmp_path, [*many(12), {"text": ""}]), analyzer, output, options())
    records = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert summary.escalations == sum(bool(r["escalation"] and r["escalation"]["label"]) for r in records)
    assert summary.overall == {"negative": 12}
    assert summary.intents == {"complaint": 12}
    mentions = [(m["dimension"], m["sentiment"]) for r in records for m in r["dimensions"]]
    assert mentions
    assert sum(sum(counter.values()) for counter in summary.dimensions.values()) == len(mentions)
    assert isinstance(summary, Summary)
    assert summary.elapsed > 0


def test_batch_progress_ticks_a_block(tmp_path: Path) -> None:
    ticks: list[Tick] = []
    score(make_table(tmp_path, many(12)), FakeAnalyzer(), tmp_path / "out.csv", options(), ticks.append)
    assert [tick.rows for tick in ticks if tick.phase == "score"] == [5, 10, 12]
    assert [tick.position for tick in ticks if tick.phase == "write"] == [1, 2, 3]


def test_batch_gzip_has_no_time_in_it(tmp_path: Path) -> None:
    score(make_table(tmp_path, many(3)), FakeAnalyzer(), tmp_path / "out.csv.gz", options())
    data = (tmp_path / "out.csv.gz").read_bytes()
    assert data[4:8] == bytes(4)
    assert gzip.decompress(data).startswith(b"\xef\xbb\xbftext,film,cs_overall")
