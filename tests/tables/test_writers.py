"""Formats by suffix, and flat tables in both layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from written import TAXONOMY, block, csv_lines, flat, flat_plan, write

from sentiment.tables.base import TableError
from sentiment.tables.flat import VALUES, FlatNames, flat_table
from sentiment.tables.writers import Plan, output_format
from sentiment.taxonomy import Taxonomy, taxonomy_from_dict

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


def test_writers_the_source_column_has_its_chinese_header_to_itself() -> None:
    columns = ["text", "评分来源文件", "cs_source"]
    with pytest.raises(TableError, match="found 评分来源文件; --overwrite replaces them"):
        flat(columns, lang="zh")
    assert flat(columns, lang="zh", overwrite=True).headers[:3] == ["text", "评分来源文件", "整体情感"]
    assert flat(columns).headers[:3] == columns
    assert flat(columns[:2], lang="zh").headers[:2] == columns[:2]


def test_writers_a_taxonomy_whose_columns_would_meet_is_refused() -> None:
    def taxonomy(key: str, zh: str) -> Taxonomy:
        return taxonomy_from_dict({"dimensions": [{"key": "film", "zh": "影片"}, {"key": key, "zh": zh}]})

    with pytest.raises(TableError, match="'cs_status' twice"):
        FlatNames(taxonomy("status", "x"))
    with pytest.raises(TableError, match="影片"):
        flat_table(["text"], taxonomy("picture", "影片"), text_column="text", lang="zh")
