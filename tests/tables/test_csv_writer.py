"""CSV: what a spreadsheet would run is guarded; all else is kept."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import block, csv_lines, flat_plan, write

from sentiment.tables.csv_writer import as_text, guard, unguard


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+a", "@SUM(A1)", "-e5", "\tx", "\rx", "\n=1", "-", "+", "＝1", "＋1", "－a", "＠a", "-1-1", "-.", "+1 2",
     "-٣"],
)  # fmt: skip
def test_csv_writer_guards_what_a_spreadsheet_runs(text: str) -> None:
    assert guard(text) == f"'{text}"
    assert unguard(guard(text)) == text


@pytest.mark.parametrize(
    "text", ["-5", "+3.2", "1e5", "-1e-5", "-.5", "-5.", "-1,234.50", "+12%", "+8613812345678", "好=坏", "'=1", ""]
)
def test_csv_writer_leaves_numbers_and_texts(text: str) -> None:
    assert guard(text) == text


RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # ours, so that none can be lost unseen
GUARDED = st.builds(str.__add__, st.sampled_from(RUNS), st.text() | st.text("0123456789.,eE+-%"))


@given(GUARDED | st.text())
def test_csv_writer_guard_can_be_undone_and_leaves_nothing_to_run(text: str) -> None:
    guarded = guard(text)
    assert guarded in (text, f"'{text}")
    # A number is the one thing that may begin so: a spreadsheet shows it and runs nothing.
    assert not guarded.startswith(RUNS) or re.fullmatch(r"[+-][0-9.,]+([eE][+-]?[0-9]+)?%?", guarded)
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


def test_csv_writer_text_of_a_string_is_itself() -> None:
    assert as_text("好") == "好"
    assert as_text(None) == ""
