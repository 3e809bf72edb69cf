"""What a scoring job writes: rows, ids, rejects, columns."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_table import FakeAnalyzer, FakeReader, make_table, many, options, read_csv

from sentiment.batch import Tick, score, stream
from sentiment.parts import Summary, partial_folder, rejects_file
from sentiment.tables import ReadOptions, open_tables
from sentiment.tables.base import Reject, Row, TableError


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


def test_batch_refuses_what_is_in_the_way(tmp_path: Path) -> None:
    table, analyzer, output = make_table(tmp_path, many(3)), FakeAnalyzer(), tmp_path / "out.csv"
    partial_folder(output).mkdir()
    (partial_folder(output) / "manifest.json").write_text("{}")
    with pytest.raises(TableError, match="--resume goes on with it"):
        score(table, analyzer, output, options())
    shutil.rmtree(partial_folder(output))
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


def test_batch_refuses_an_output_that_would_replace_its_input(tmp_path: Path) -> None:
    analyzer, output = FakeAnalyzer(), tmp_path / "out.csv"
    rejects_file(output).write_text('{"row": 2, "reason": "ragged", "raw": "座位太挤"}\n', "utf-8")
    table = open_tables([rejects_file(output)], ReadOptions(text_column="raw"))
    with pytest.raises(TableError, match=r"expected another output, as .*rejects\.jsonl would be replaced"):
        score(table, analyzer, output, options())
    with pytest.raises(TableError, match=r"expected another output, as .*in\.csv would be replaced"):
        score(make_table(tmp_path, many(3)), analyzer, tmp_path / "in.csv", options(overwrite=True))
    assert analyzer.blocks == [] and not output.exists() and not partial_folder(output).exists()
    assert score(table, analyzer, tmp_path / "other.csv", options()).rows == 1
    assert rejects_file(output).exists()


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
