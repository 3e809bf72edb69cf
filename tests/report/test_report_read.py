from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scored_files import TAXONOMY, flat_lines, record, write_csv, write_jsonl, write_parquet, write_xlsx

from sentiment.records import Analysis, Mention
from sentiment.report.build import build_report
from sentiment.report.read import ReadScored, read_scored
from sentiment.report.rows import ScoredRows
from sentiment.report.work import ReportOptions
from sentiment.tables.base import Reject, TableError
from sentiment.tables.scored import ScoredFile, ScoredFiles

RECORDS = [
    record(1, "座椅太硬", {"seating": "negative"}, overall="negative",
           日期="2026-03-01", 影院="甲店", 评分=2, 客户="K1", 回复=""),
    record(2, "停车方便，票价合理", {"parking": "positive", "price": "neutral"}, overall="positive",
           日期="2026-03-02", 影院="乙店", 评分=5, 客户="K2", 回复="谢谢"),
    record(3, "还行吧", {}, 日期="2026-04-01", 影院="甲店", 评分=3, 客户="K1", 回复=""),
    record(4, "要求退款，否则投诉", {"refund": "negative"}, overall="negative", intent="complaint", escalation=True,
           日期="2026-04-02", 影院="甲店", 评分=1, 客户="K1", 回复=""),
    record(5, "", {}, status="empty", 日期="2026-04-03", 影院="乙店", 评分=None, 客户=None, 回复=""),
]  # fmt: skip


def _write(folder: Path, layout: str) -> Path:
    if layout == "jsonl":
        return write_jsonl(folder / "scored.jsonl", RECORDS)
    if layout == "parquet":
        return write_parquet(folder / "scored.parquet", RECORDS)
    shape, lang, suffix = layout.split("-")
    lines = flat_lines(RECORDS, layout=shape, lang=lang, probabilities=True)
    return (write_csv if suffix == "csv" else write_xlsx)(folder / f"scored.{suffix}", lines)


def _read(path: Path | list[Path], **options: Any) -> ReadScored:
    return read_scored(path if isinstance(path, list) else [path], TAXONOMY, **options)


@pytest.mark.parametrize(
    "layout",
    ["jsonl", "parquet", "wide-en-csv", "wide-zh-csv", "long-en-csv", "long-zh-csv", "wide-zh-xlsx", "long-en-xlsx"],
)
def test_every_layout_gives_the_same_columns(layout: str, tmp_path: Path) -> None:
    read = _read(_write(tmp_path, layout))
    s = read.scored
    seating, parking, price, refund = (TAXONOMY.index[key] for key in ("seating", "parking", "price", "refund"))
    assert s.from_probabilities
    assert s.status.tolist() == [0, 0, 0, 0, 1]
    assert s.overall.tolist() == [0, 2, 1, 0, -1]
    assert s.intent.tolist() == [0, 0, 0, 1, -1]
    assert s.escalation.tolist() == [False, False, False, True, False]
    assert (s.labels[0, seating], s.labels[1, parking], s.labels[1, price], s.labels[3, refund]) == (0, 2, 1, 0)
    assert (s.labels >= 0).sum() == 4
    assert s.probabilities[0, seating].tolist() == [0.875, 0, 0]
    assert float(s.probabilities.sum()) == pytest.approx(4 * 0.875)
    assert [str(day) for day in s.date] == ["2026-03-01", "2026-03-02", "2026-04-01", "2026-04-02", "2026-04-03"]
    assert s.cinemas == ["甲店", "乙店"]
    assert s.cinema.tolist() == [0, 1, 0, 0, 1]
    assert s.rating.tolist()[:4] == [2, 5, 3, 1]
    assert np.isnan(s.rating[4])
    assert s.customer.tolist() == [0, 1, 0, 0, -1]
    assert s.replied.tolist() == [0, 1, 0, 0, 0]
    assert [s.text(row) for row in range(4)] == [r["input"]["评论"] for r in RECORDS[:4]]
    assert s.mentions.row.tolist() == [0, 1, 1, 3]
    assert (s.mentions.start[0], s.mentions.end[0]) == (0, 4)
    assert s.row.tolist() == [1, 2, 3, 4, 5]
    assert read.roles["date"] == "日期"
    assert read.roles["text"] == "评论"
    assert read.files == [(str(tmp_path / f"scored.{layout.rpartition('-')[2]}"), 5, 0, False)]


def _flat(folder: Path, **cells: str) -> Path:
    """A wide table of the records with some cells of its first row replaced."""
    lines = flat_lines(RECORDS, probabilities=True)
    for name, value in cells.items():
        lines[1][lines[0].index(name)] = value
    return write_csv(folder / "scored.csv", lines)


def test_probabilities_of_flat_files_are_read_by_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(self: ScoredFile, cells: Any) -> Any:
        raise AssertionError("each text on its own: a million of them take too long")

    monkeypatch.setattr(ScoredFile, "probabilities", one_by_one)
    read = _read(_flat(tmp_path, cs_parking_probability_neutral=""))
    seating, parking = TAXONOMY.index["seating"], TAXONOMY.index["parking"]
    assert read.scored.from_probabilities
    assert read.scored.probabilities[0, seating].tolist() == [0.875, 0, 0]
    assert read.scored.probabilities[0, parking].tolist() == [0, 0, 0]  # one of three is blank: nobody knows
    assert read.scored.probabilities[4].sum() == 0  # nothing was scored there


@pytest.mark.parametrize("odd", ["n/a", " 0.25 ", "2.5e-1", "", "０.25", "1e400"])
def test_probabilities_of_a_block_are_those_of_its_texts(odd: str, tmp_path: Path) -> None:
    path = _flat(tmp_path, cs_staff_probability_positive=odd, cs_staff_probability_neutral="0.125")
    slow = [text for text in ScoredFiles([path], TAXONOMY) if not isinstance(text, Reject)]
    expected = [[text.probabilities.get(key, [0.0] * 3) for key in TAXONOMY.keys] for text in slow]
    assert _read(path).scored.probabilities.tolist() == np.array(expected, np.float32).tolist()


def test_probabilities_that_a_scored_text_lacks_make_counts(tmp_path: Path) -> None:
    lines = flat_lines(RECORDS, probabilities=True)
    for at, name in enumerate(lines[0]):
        if "_probability_" in str(name):
            lines[2][at] = ""
    assert not _read(write_csv(tmp_path / "scored.csv", lines)).scored.from_probabilities


def _dated(folder: Path, name: str, *days: str) -> Path:
    return write_jsonl(folder / name, [record(n, "座椅硬", {}, 日期=day) for n, day in enumerate(days)])


def test_a_day_above_12_tells_the_order_of_its_file(tmp_path: Path) -> None:
    files = [
        _dated(tmp_path, "a.jsonl", "03/01/2026", "25/01/2026", "2026-02-01"),
        _dated(tmp_path, "b.jsonl", "03/01/2026", "01/25/2026", "May 4, 2026"),
    ]
    read = _read(files)
    assert [str(day) for day in read.scored.date] == [
        "2026-01-03", "2026-01-25", "2026-02-01", "2026-03-01", "2026-01-25", "2026-05-04",
    ]  # fmt: skip
    assert read.unread == {"date": 0, "rating": 0, "date_order": 0}


@pytest.mark.parametrize("order", ["day", "month", None])
def test_dates_in_either_order_are_told_or_unknown(order: Any, tmp_path: Path) -> None:
    files = [
        _dated(tmp_path, "a.jsonl", "03/01/2026", "04/02/2026", "gestern", ""),
        _dated(tmp_path, "b.jsonl", "03/01/2026", "25/01/2026", "01/25/2026"),
    ]
    read = _read(files, date_order=order)
    first = {"day": "2026-01-03", "month": "2026-03-01", None: "NaT"}[order]
    second = {"day": "2026-02-04", "month": "2026-04-02", None: "NaT"}[order]
    assert [str(day) for day in read.scored.date] == [
        first, second, "NaT", "NaT", first, "2026-01-25", "2026-01-25",
    ]  # fmt: skip
    assert read.unread == {"date": 1, "rating": 0, "date_order": 0 if order else 3}
    said = {note.code: note for note in build_report(read, ReportOptions(replicates=50)).notes}
    assert ("date_order" in said) == (order is None)
    if order is None:
        assert "3 dates" in said["date_order"].en and "--date-order day" in said["date_order"].en
        assert "--date-order month" in said["date_order"].zh


def test_several_files_are_one_and_mixed_ones_are_counted(tmp_path: Path) -> None:
    first = write_jsonl(tmp_path / "a.jsonl", RECORDS[:2])
    without = [record(n, "座椅硬", {"seating": "negative"}, probabilities=False) for n in range(3)]
    read = _read([first, write_jsonl(tmp_path / "b.jsonl", without)])
    assert len(read.scored) == 5
    assert read.mixed
    assert not read.scored.from_probabilities
    assert set(np.unique(read.scored.probabilities)) == {0.0, 1.0}
    assert read.scored.source.tolist() == [0, 0, 1, 1, 1]


def test_dimensions_that_a_file_was_not_scored_on_are_left_out(tmp_path: Path) -> None:
    lines = flat_lines(RECORDS)
    parking = [i for i, header in enumerate(lines[0]) if header.startswith("cs_parking")]
    path = write_csv(tmp_path / "s.csv", [[c for i, c in enumerate(line) if i not in parking] for line in lines])
    read = _read(path)
    assert read.left_out == ["parking"]
    assert "parking" not in read.scored.taxonomy.keys
    assert read.scored.probabilities.shape[1] == 17
    assert [read.scored.taxonomy.keys[d] for d in read.scored.mentions.dimension] == ["seating", "price", "refund"]


class Fake:
    name = "fake@1"

    def analyze_block(self, texts: list[str]) -> list[Analysis]:
        mention = Mention("seating", "negative", 0.9, "座", 0, 1, "工程")
        spread = {key: (0.5 if key == "seating" else 0.0, 0.0, 0.0) for key in TAXONOMY.keys}
        return [
            Analysis("fake@1", None, "ok", "hans", "negative", 0.9, "review", 0.9, False, 0.9,
                     dimensions=(mention,), probabilities=spread)
            for _ in texts
        ]  # fmt: skip


def test_an_unscored_table_is_scored_first(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_text("日期,评论,门店\n2026-01-02,座椅很硬,甲\n2026-01-03,座位太挤,乙\n", "utf-8")
    read = _read(path, load=Fake)
    assert read.files[0][1:] == (2, 0, True)
    assert read.scored.models == ["fake@1"]
    assert read.scored.cinemas == ["甲", "乙"]
    assert read.scored.probabilities[:, TAXONOMY.index["seating"], 0].tolist() == [0.5, 0.5]


def test_bytes_of_a_parquet_file_are_text(tmp_path: Path) -> None:
    def binary(cells: dict[str, Any]) -> dict[str, Any]:
        return {name: cell.encode() if isinstance(cell, str) else cell for name, cell in cells.items()}

    texts = ["座椅太硬", "停车方便，票价合理", "还行吧", "要求退款，否则投诉", ""]
    raw = tmp_path / "raw.parquet"
    pq.write_table(pa.Table.from_pylist([binary(r["input"]) for r in RECORDS]), raw)
    scored = write_parquet(tmp_path / "scored.parquet", [r | {"input": binary(r["input"])} for r in RECORDS])
    assert [text.text for text in ScoredFiles([scored], TAXONOMY) if not isinstance(text, Reject)] == texts
    for path in (raw, scored):
        s = _read(path, load=Fake).scored
        assert [s.text(row) for row in range(len(s))] == texts
        assert s.cinemas == ["甲店", "乙店"]
        assert (str(s.date[0]), s.replied.tolist()) == ("2026-03-01", [0, 1, 0, 0, 0])


def test_a_dump_with_a_chinese_header_of_ours_is_scored_first(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_text("工单号,诉求类型,投诉内容\n1,退款,座椅很硬，要求退款\n2,环境,座位太挤了\n", "utf-8")
    assert _read(path, load=Fake).files[0][1:] == (2, 0, True)


def test_headers_beside_cs_columns_are_the_inputs_own(tmp_path: Path) -> None:
    own = record(1, "座椅太硬", {"seating": "negative"}, 服务态度="差", 停车="免费", 整体情感="差")
    lines = flat_lines([own])
    kept = [at for at, name in enumerate(lines[0]) if not name.startswith("cs_") or "seating" in name or at < 12]
    read = _read(write_csv(tmp_path / "scored.csv", [[line[at] for at in kept] for line in lines]), by="停车")
    assert read.scored.taxonomy.keys == ("seating",)
    assert (read.scored.groups, read.scored.overall.tolist()) == (["免费"], [1])


def test_one_cs_column_or_two_chinese_ones_tell_a_scored_file(tmp_path: Path) -> None:
    for lang, dropped in (("en", ("cs_intent", "cs_status")), ("zh", ("诉求类型",))):
        lines = flat_lines(RECORDS, lang=lang)
        kept = [at for at, name in enumerate(lines[0]) if name not in dropped]
        path = write_csv(tmp_path / f"{lang}.csv", [[line[at] for at in kept] for line in lines])
        assert _read(path).files[0][1:] == (5, 0, False)


def test_the_columns_of_options_go_before_names(tmp_path: Path) -> None:
    rows = [record(1, "好", {}, 评分=1, 打分=4, 城市="成都"), record(2, "差", {}, 评分=2, 打分=5, 城市="沈阳")]
    path = write_jsonl(tmp_path / "s.jsonl", rows)
    read = _read(path, given={"rating": "打分"}, by="城市")
    assert read.scored.rating.tolist() == [4, 5]
    assert read.scored.groups == ["成都", "沈阳"]
    with pytest.raises(TableError, match="--cinema-col"):
        _read(path, given={"cinema": "没有"})
    with pytest.raises(TableError, match="--by"):
        _read(path, by="没有")


def test_a_dimension_of_another_taxonomy_is_refused(tmp_path: Path) -> None:
    bad = record(1, "好", {})
    bad["dimensions"] = [{"dimension": "noodles", "sentiment": "positive", "confidence": 0.9}]
    with pytest.raises(TableError, match="noodles"):
        _read(write_jsonl(tmp_path / "s.jsonl", [bad]))


def test_broken_rows_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "s.jsonl", RECORDS)
    path.write_text(path.read_text("utf-8") + "{broken\n", "utf-8")
    assert _read(path).files[0][1:] == (5, 1, False)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.touch()
    assert len(_read(path).scored) == 0


def test_rows_stream_every_text_with_its_labels(tmp_path: Path) -> None:
    rows = ScoredRows(_read(_write(tmp_path, "jsonl")).scored)
    keys = [column.key for column in rows.columns]
    found = [dict(zip(keys, row, strict=True)) for row in rows]
    assert len(rows) == len(found) == 5
    assert found[0]["seating"] == "negative"
    assert found[0]["parking"] is None
    assert (found[1]["date"], found[1]["cinema"], found[1]["rating"], found[1]["replied"]) == (
        "2026-03-02",
        "乙店",
        5,
        True,
    )
    assert found[4]["status"] == "empty"
