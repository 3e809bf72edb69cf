from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment.records import Analysis, Mention
from sentiment.tables.base import Row, TableError
from sentiment.tables.csv_writer import as_text, guard, unguard
from sentiment.tables.flat import VALUES, FlatNames, FlatTable, flat_table
from sentiment.tables.jsonl_writer import dump_line
from sentiment.tables.parquet_writer import ColumnTypes, block_rows, block_table, decode_cells, encode_cells
from sentiment.tables.writers import Plan, open_writer, output_format
from sentiment.tables.xlsx_writer import MAX_TEXT, cell_text
from sentiment.taxonomy import Taxonomy, load_taxonomy, taxonomy_from_dict

TAXONOMY = load_taxonomy()
OK = Analysis(
    *("cinesent-zh@1a2b3c4d", None, "ok", "hans", "negative", 0.97, "complaint", 0.91, True, 0.84),
    dimensions=(
        Mention("seating", "negative", 0.93, "坐得腰疼", 2, 6, "工程"),
        Mention("price", "neutral", 0.51234, "=价", 0, 2, "运营"),
    ),
    tokens=9,
    windows=1,
    probabilities=dict.fromkeys(TAXONOMY.keys, (0.1, 0.2, 0.3)),
)
EMPTY = Analysis("cinesent-zh@1a2b3c4d", None, "empty", "other")


def block(cells: list[dict[str, Any]], schema: pa.Schema | None = None) -> pa.Table:
    rows = [Row("in.csv", number, row) for number, row in enumerate(cells, 1)]
    analyses = [EMPTY if row.get("text") is None else OK for row in cells]
    return block_table(rows, analyses, [str(row.number) for row in rows], TAXONOMY.keys, schema)


def write(plan: Plan, *blocks: pa.Table) -> bytes:
    stream = io.BytesIO()
    with open_writer(stream, plan) as writer:
        for part in blocks:
            writer.write(part)
    write.cut = writer.cut  # type: ignore[attr-defined]
    return stream.getvalue()


def flat(columns: list[str], **options: Any) -> FlatTable:
    return flat_table(columns, TAXONOMY, text_column="text", **options)


def flat_plan(kind: Any, columns: list[str], *, xlsx_rows: int = 1_048_576, **options: Any) -> Plan:
    return Plan(kind, False, TAXONOMY.keys, flat=flat(columns, **options), xlsx_rows=xlsx_rows)


def csv_lines(data: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter))


def workbook(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data))


# Formats


def test_writers_the_suffix_names_the_format() -> None:
    assert output_format(Path("a.b/OUT.CSV.gz")) == ("csv", True)
    assert output_format(Path("out.parquet")) == ("parquet", False)
    for name in ("out.xls", "out.xlsx.gz", "out", "csv"):
        with pytest.raises(TableError, match=r"expected an output that ends in \.csv"):
            output_format(Path(name))


# Flat tables


def test_writers_wide_columns_in_the_order_of_the_contract() -> None:
    table = flat(["text", "film"])
    assert table.headers[:13] == [
        *("text", "film", "cs_overall", "cs_overall_confidence", "cs_intent", "cs_intent_confidence"),
        *("cs_escalation", "cs_escalation_confidence", "cs_uncertain", "cs_status"),
        *("cs_film", "cs_film_confidence", "cs_film_evidence"),
    ]
    assert len(table.headers) == 2 + 8 + 3 * 18


def test_writers_wide_line() -> None:
    data = write(flat_plan("csv", ["text"]), block([{"text": "=价坐得腰疼"}, {"text": None}]))
    assert data.startswith(b"\xef\xbb\xbftext,cs_overall")
    assert data.count(b"\r\n") == 3
    first, second = csv_lines(data)
    assert first["text"] == "'=价坐得腰疼"
    assert (first["cs_overall"], first["cs_overall_confidence"]) == ("negative", "0.97")
    assert (first["cs_intent"], first["cs_escalation"], first["cs_uncertain"]) == ("complaint", "true", "false")
    assert (first["cs_seating"], first["cs_seating_confidence"], first["cs_seating_evidence"]) == (
        "negative",
        "0.93",
        "坐得腰疼",
    )
    assert (first["cs_price"], first["cs_price_confidence"], first["cs_price_evidence"]) == (
        "neutral",
        "0.5123",
        "'=价",
    )
    assert first["cs_film"] == first["cs_film_confidence"] == first["cs_film_evidence"] == ""
    assert {name: value for name, value in second.items() if value} == {"cs_uncertain": "false", "cs_status": "empty"}


def test_writers_long_has_a_line_a_mention_and_one_for_none() -> None:
    data = write(flat_plan("tsv", ["text"], layout="long"), block([{"text": "=价坐得腰疼"}, {"text": None}]))
    first, second, third = csv_lines(data, "\t")
    assert [line["cs_id"] for line in (first, second, third)] == ["1", "1", "2"]
    mention = {name: first[f"cs_{name}"] for name in ("dimension", "sentiment", "evidence", "start", "end", "owner")}
    assert list(mention.values()) == ["seating", "negative", "坐得腰疼", "2", "6", "工程"]
    assert "=价坐得腰疼"[int(mention["start"]) : int(mention["end"])] == mention["evidence"]
    assert (second["cs_dimension"], second["cs_overall"]) == ("price", "negative")
    assert (third["cs_dimension"], third["cs_sentiment"], third["cs_status"]) == ("", "", "empty")


def test_writers_chinese_headers_and_values() -> None:
    (line,) = csv_lines(write(flat_plan("csv", ["text"], lang="zh"), block([{"text": "=价坐得腰疼"}])))
    assert (line["整体情感"], line["诉求类型"], line["需升级处理"], line["评分状态"]) == ("负面", "投诉", "是", "正常")
    assert (line["座椅视野"], line["座椅视野置信度"], line["座椅视野依据"]) == ("负面", "0.93", "坐得腰疼")
    lines = csv_lines(write(flat_plan("csv", ["text"], lang="zh", layout="long"), block([{"text": "=价坐得腰疼"}])))
    assert [(line["服务维度"], line["维度情感"]) for line in lines] == [("座椅视野", "负面"), ("票价收费", "中性")]


@pytest.mark.parametrize("layout", ["wide", "long"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_writers_names_are_read_back_in_either_language(layout: Any, lang: Any) -> None:
    names, table = FlatNames(TAXONOMY), flat(["text"], layout=layout, lang=lang, probabilities=True)
    assert [names.name(header) for header in table.headers[1:]] == table.own
    assert names.name("text") is None
    for label in VALUES:
        assert names.label(names.value(label, lang)) == label
    for key in TAXONOMY.keys:
        assert names.dimension_key(names.dimension(key, lang)) == key


def test_writers_probabilities_in_both_layouts() -> None:
    for layout, empty in (("wide", ""), ("long", "")):
        first, *_, last = csv_lines(
            write(
                Plan("csv", False, TAXONOMY.keys, True, flat(["text"], layout=layout, probabilities=True)),
                block([{"text": "好"}, {"text": None}]),
            )
        )
        parts = [f"cs_parking_probability_{sentiment}" for sentiment in ("negative", "neutral", "positive")]
        assert [first[part] for part in parts] == ["0.1", "0.2", "0.3"]
        assert [last[part] for part in parts] == [empty] * 3


def test_writers_existing_columns_are_refused_or_replaced() -> None:
    with pytest.raises(TableError, match="found cs_seating, cs_status; --overwrite replaces them"):
        flat(["text", "cs_seating", "cs_status", "cs_note"])
    assert flat(["text", "cs_seating", "cs_note"], overwrite=True).columns == ("text", "cs_note")
    with pytest.raises(TableError, match="座椅视野"):
        flat(["text", "座椅视野"], lang="zh")
    assert flat(["text", "座椅视野"]).columns == ("text", "座椅视野")
    with pytest.raises(TableError, match="cs_dimension"):  # a former run's, in the other layout
        flat(["text", "cs_dimension"])
    with pytest.raises(TableError, match="column of the input's own"):
        flat_table(["cs_evidence"], TAXONOMY, text_column="cs_evidence", overwrite=True)


def test_writers_the_readers_source_column_is_kept() -> None:
    assert flat(["text", "cs_source"]).headers[:3] == ["text", "cs_source", "cs_overall"]
    assert flat(["text", "cs_source"], lang="zh").headers[:2] == ["text", "评分来源文件"]


def test_writers_a_taxonomy_whose_columns_would_meet_is_refused() -> None:
    def taxonomy(key: str, zh: str) -> Taxonomy:
        return taxonomy_from_dict({"dimensions": [{"key": "film", "zh": "影片"}, {"key": key, "zh": zh}]})

    with pytest.raises(TableError, match="'cs_status' twice"):
        FlatNames(taxonomy("status", "x"))
    with pytest.raises(TableError, match="影片"):
        flat_table(["text"], taxonomy("picture", "影片"), text_column="text", lang="zh")


# CSV


@pytest.mark.parametrize(
    "text", ["=1+1", "+a", "@SUM(A1)", "-e5", "\tx", "\rx", "\n=1", "-", "+", "＝1", "-1-1", "-.", "+1 2", "-٣"]
)
def test_csv_writer_guards_what_a_spreadsheet_runs(text: str) -> None:
    assert guard(text) == f"'{text}"
    assert unguard(guard(text)) == text


@pytest.mark.parametrize(
    "text", ["-5", "+3.2", "1e5", "-1e-5", "-.5", "-5.", "-1,234.50", "+12%", "+8613812345678", "好=坏", "'=1", ""]
)
def test_csv_writer_leaves_numbers_and_texts(text: str) -> None:
    assert guard(text) == text


@given(st.text())
def test_csv_writer_guard_can_be_undone_and_leaves_nothing_to_run(text: str) -> None:
    guarded = guard(text)
    assert guarded in (text, f"'{text}")
    if guarded.startswith(("=", "@", "\t", "\r")):
        pytest.fail(guarded)
    if guarded != text:
        assert unguard(guarded) == text
    assert guard(guarded) == guarded


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_csv_writer_round_trip(texts: list[str]) -> None:
    cells = {"text": texts[0], **{f"c{i}": text for i, text in enumerate(texts[1:])}}
    (line,) = csv_lines(write(flat_plan("csv", list(cells)), block([cells])))
    assert [line[name] for name in cells] == [guard(text) for text in texts]


def test_csv_writer_guards_headers_and_values_of_every_kind() -> None:
    cells = {
        "text": "好",
        "=h": [1, {"a": "\ud800"}],
        "when": dt.datetime(2024, 5, 1, 20, 30),
        "day": dt.date(2024, 5, 1),
        "span": dt.timedelta(hours=-1),
        "flag": True,
        "price": Decimal("39.90"),
        "raw": b"\xff",
        "minus": -5,
        "half": "a\ud800b",
    }
    (line,) = csv_lines(write(flat_plan("csv", list(cells)), block([cells])))
    assert line["'=h"] == '[1, {"a": "\ufffd"}]'
    assert (line["when"], line["day"], line["span"]) == ("2024-05-01 20:30:00", "2024-05-01", "'-1 day, 23:00:00")
    assert (line["flag"], line["price"], line["raw"], line["minus"], line["half"]) == (
        "true",
        "39.90",
        "/w==",
        "-5",
        "a\ufffdb",
    )


# JSON


def test_jsonl_writer_record_and_input() -> None:
    cells = {
        "text": "好",
        "when": dt.datetime(2024, 5, 1),
        "price": Decimal("39.90"),
        "deep": {"a": [1, None]},
        "nan": math.nan,
    }
    line, empty = write(Plan("jsonl", False, TAXONOMY.keys, True), block([cells, {"text": None}])).splitlines()
    record = json.loads(line)
    assert record.pop("input") == {
        "text": "好",
        "when": "2024-05-01T00:00:00",
        "price": 39.9,
        "deep": {"a": [1, None]},
        "nan": None,
    }
    assert record == OK.to_dict(probabilities=True) | {"id": "1"}
    assert list(record) == list(OK.to_dict(probabilities=True))
    assert b'"price":39.90,' in line
    assert json.loads(empty)["probabilities"] == {}
    (plain,) = write(Plan("jsonl", False, TAXONOMY.keys), block([cells])).splitlines()
    assert "probabilities" not in json.loads(plain)


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"a": 10**30}, {"a": [-(10**20), "好"]}, {"\udfff": 1.5}])
def test_jsonl_writer_what_utf8_and_64_bits_cannot_hold(value: Any) -> None:
    assert json.loads(dump_line(value)) == value


# Parquet


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
typed_values = (
    json_values
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.binary()
)


@given(st.dictionaries(st.text(), typed_values, max_size=4))
@example({"\0date": "not a day"})
@example({"x": [{"\0bytes": "?"}, {"\0\0decimal": {"\0time": 1}}, {"\0date": "2024-01-01", "y": dt.date(2024, 1, 1)}]})
@example({"x": {"\0timedelta": "\ud800"}})
def test_parquet_writer_cells_round_trip_through_a_part(cells: dict[str, Any]) -> None:
    assert decode_cells(encode_cells(cells)) == cells


def test_parquet_writer_blocks_give_back_records_and_cells() -> None:
    cells: list[dict[str, Any]] = [{"text": "好", "n": 10**30}, {"text": None}]
    found = list(block_rows(block(cells), probabilities=True))
    assert found == [
        (OK.to_dict(probabilities=True) | {"id": "1"}, cells[0]),
        (EMPTY.to_dict(probabilities=True) | {"id": "2"}, cells[1]),
    ]


def parquet(cells: list[dict[str, Any]]) -> pa.Table:
    types = ColumnTypes(["text"])
    for row in cells:
        types.add(row)
    return pq.read_table(io.BytesIO(write(Plan("parquet", False, TAXONOMY.keys, types=types), block(cells))))


def test_parquet_writer_schema() -> None:
    table = parquet([{"text": "好"}, {"text": None}])
    assert table.schema.names == [*OK.to_dict(), "probabilities", "input"]
    assert table.schema.field("probabilities").type.field("seating").type == pa.list_(pa.float32())
    first, second = table.to_pylist()
    assert first["probabilities"]["seating"] == pytest.approx([0.1, 0.2, 0.3])
    assert first["dimensions"][0] == OK.dimensions[0].to_dict()
    assert second["overall"] is second["probabilities"] is second["escalation"] is None
    assert second["dimensions"] == []


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        (["a", None, "b"], pa.string(), ["a", None, "b"]),
        ([1, None, 2**62], pa.int64(), [1, None, 2**62]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([True, None], pa.bool_(), [True, None]),
        ([dt.datetime(2024, 5, 1, 8)], pa.timestamp("us"), [dt.datetime(2024, 5, 1, 8)]),
        ([dt.datetime(2024, 5, 1), dt.date(2024, 5, 2)], pa.timestamp("us"), [dt.datetime(2024, 5, d) for d in (1, 2)]),
        ([None, None], pa.string(), [None, None]),
        (["a", 5, True, None], pa.string(), ["a", "5", "true", None]),
        ([{"a": 1}, [2, "好"]], pa.string(), ['{"a": 1}', '[2, "好"]']),
        ([2**62 + 1, 0.5], pa.string(), [str(2**62 + 1), "0.5"]),
        ([2**70], pa.string(), [str(2**70)]),
        ([True, 1], pa.string(), ["true", "1"]),
        (["a\ud800"], pa.string(), ["a\ufffd"]),
    ],
)
def test_parquet_writer_infers_types(values: list[Any], kind: pa.DataType, found: list[Any]) -> None:
    column = parquet([{"text": "好", "x": value} for value in values])["input"].combine_chunks().field("x")
    assert column.type == kind
    assert column.to_pylist() == found


# XLSX


def test_xlsx_writer_strings_stay_strings() -> None:
    texts = ["=1+1", "http://a.cn", "mailto:x@y", "{=A1}", "00123", "-5", "internal:x", "#N/A", "  好 "]
    data = write(flat_plan("xlsx", ["text"]), block([{"text": text} for text in texts]))
    sheet = workbook(data).active
    cells = [sheet.cell(row, 1) for row in range(2, len(texts) + 2)]
    assert [cell.value for cell in cells] == texts
    assert all(cell.data_type == "s" and cell.hyperlink is None for cell in cells)


def test_xlsx_writer_values() -> None:
    cells = {
        "text": "a\x01b\r\nc\rd\ud800",
        "small": 999_999_999_999_999,
        "large": 1_000_000_000_000_000,
        "minus": -5,
        "float": 2.5,
        "nan": math.nan,
        "flag": False,
        "when": dt.datetime(2024, 5, 1, 20, 30),
        "day": dt.date(2024, 5, 1),
        "clock": dt.time(20, 30),
        "old": dt.datetime(1850, 1, 1),
        "price": Decimal("39.90"),
        "list": [1],
    }
    names = list(cells)
    sheet = workbook(write(flat_plan("xlsx", names), block([cells]))).active
    found = dict(zip(names, (cell.value for cell in sheet[2]), strict=False))
    assert found == cells | {
        "text": "a\ufffdb \nc\nd\ufffd",
        "large": "1000000000000000",
        "nan": "nan",
        "day": dt.datetime(2024, 5, 1),
        "old": "1850-01-01 00:00:00",
        "price": 39.9,
        "list": "[1]",
    }


def test_xlsx_writer_header_is_bold_frozen_and_filtered() -> None:
    sheet = workbook(write(flat_plan("xlsx", ["text"]), block([{"text": "好"}]))).active
    assert sheet.title == "scores"
    assert all(cell.font.bold for cell in sheet[1])
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(2, 63).coordinate}"
    assert 10 <= sheet.column_dimensions["A"].width <= 42


def test_xlsx_writer_cuts_and_counts_long_cells() -> None:
    cells = [{"text": "好" * MAX_TEXT}, {"text": "好" * (MAX_TEXT + 1)}, {"text": "😀" * 20_000}]
    sheet = workbook(write(flat_plan("xlsx", ["text"]), block(cells))).active
    assert [len(sheet.cell(row, 1).value) for row in (2, 3, 4)] == [MAX_TEXT, MAX_TEXT, MAX_TEXT // 2]
    assert write.cut == 2  # type: ignore[attr-defined]


@given(st.text())
def test_xlsx_writer_text_keeps_its_length(text: str) -> None:
    found, cut = cell_text(text.encode("utf-8", "replace").decode())
    assert (len(found), cut) == (len(text), False)


def test_xlsx_writer_next_sheet_when_one_is_full() -> None:
    data = write(flat_plan("xlsx", ["text"], xlsx_rows=4, lang="zh"), block([{"text": f"好{i}"} for i in range(7)]))
    book = workbook(data)
    assert book.sheetnames == ["评分结果", "评分结果 2", "评分结果 3"]
    values = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book]
    assert values == [["text", "好0", "好1", "好2"], ["text", "好3", "好4", "好5"], ["text", "好6"]]


def test_xlsx_writer_too_many_columns() -> None:
    with pytest.raises(TableError, match="at most 16384 columns"):
        write(flat_plan("xlsx", ["text", *(f"c{i}" for i in range(16_384))]))


def test_csv_writer_text_of_a_string_is_itself() -> None:
    assert as_text("好") == "好"
    assert as_text(None) == ""
