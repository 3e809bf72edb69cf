"""Which column holds the texts and which one identifies a row: by name, else by content, and always said aloud."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from sentiment.tables.base import TableError
from sentiment.tables.reader import Sample


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In order of preference; names are compared without case, white space, punctuation and underscores.
TEXT_NAMES = _words(
    "评论 评论内容 内容 评价 评价内容 留言 留言内容 正文 文本 反馈 反馈内容 意见 投诉内容 影评 影评内容 短评 "
    "用户评论 顾客评论 观众评论 点评 点评内容 "
    "評論 評論內容 內容 評價 評價內容 留言內容 反饋 反饋內容 回饋 回饋內容 意見 投訴內容 影評 影評內容 短評 "
    "用戶評論 顧客評論 觀眾評論 點評 點評內容 "
    "review reviews comment comments content text body message feedback reviewtext reviewcontent reviewbody "
    "commenttext commentcontent "
    "complaint opinion"
)
_TEXT_PARTS = _words(
    "评论 评价 留言 正文 文本 反馈 意见 投诉 影评 点评 内容 評論 評價 反饋 回饋 意見 投訴 影評 點評 內容 "
    "review comment content text body message feedback complaint opinion"
)
# What a column of texts is not called, though its name has one of the parts above.
_OTHER = re.compile(
    r"时间|時間|日期|编号|編號|序号|序號|数|數|量|分|级|級|类|類|状态|狀態|来源|來源|标签|標籤|标题|標題|链接|連結|回复|回覆|答复|答覆|人$|者$|员$|員$|"
    r"id$|time|date|author|user|name|count|num|score|rating|star|type|status|url|link|title|tag|label|reply|source|lang|length"
)
ID_NAMES = _words(
    "id 编号 序号 评论id 评论编号 评价id 留言id 反馈编号 投诉编号 工单号 工单编号 编码 流水号 "
    "編號 序號 評論id 評論編號 評價id 反饋編號 投訴編號 工單號 編碼 流水號 "
    "reviewid commentid textid messageid feedbackid recordid rowid rid cid uuid guid key index no"
)
KNOWN_NAMES = frozenset(TEXT_NAMES) | frozenset(ID_NAMES) | {"review_id", "comment_id", "review_text", "review_content"}
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_IGNORED = re.compile(r"[\s_\-:：*()（）\[\]【】.]+")


def folded(name: str) -> str:
    """A column name as it is compared."""
    return _IGNORED.sub("", name.casefold())


def choose_text_column(samples: Sequence[Sample], wanted: str | None, *, no_header: bool) -> tuple[str, str]:
    """The text column, which every file must have (in a workbook: one of its sheets), and a note on how it was found.

    Raises:
        TableError: no such column, or none that holds Chinese text.
    """
    common = _in_every_file(samples)
    if wanted is not None:
        return _wanted(samples, common, wanted, "--text-col", no_header), ""
    han = {column: _han(samples, column) for column in common}
    filled = any(sample.rows for sample in samples)
    named = [column for column in common if not _numbers_only(samples, column)]
    for found, how in ((_exact(named), "its name"), (_containing(named), "a part of its name")):
        with_text = [column for column in found if han[column][0]]
        if how == "a part of its name":
            found = [] if filled else found
            with_text.sort(key=lambda column: (_part(column), -han[column][0]))
        if with_text or found:
            chosen = (with_text or found)[0]
            others = [column for column in with_text if column != chosen]
            return chosen, _note(chosen, f"by {how}", others)
    by_content = sorted(
        (column for column in common if han[column][0]), key=lambda column: (-han[column][0], -han[column][1])
    )
    if by_content:
        chosen, ties = by_content[0], [column for column in by_content[1:] if han[column] == han[by_content[0]]]
        return chosen, _note(chosen, "by its content, the most Chinese characters", ties)
    if _exact(common):
        return _exact(common)[0], _note(_exact(common)[0], "by its name, though it holds numbers", [])
    raise _not_found(samples, common)


def choose_id_column(
    samples: Sequence[Sample], wanted: str | None, text_column: str, *, no_header: bool
) -> tuple[str | None, str]:
    """The column that identifies a row, None where no name says so, and a note.

    Raises:
        TableError: `wanted` is no column of every file.
    """
    common = _in_every_file(samples)
    if wanted is not None:
        return _wanted(samples, common, wanted, "--id-col", no_header), ""
    for name in ID_NAMES:
        for column in common:
            if folded(column) == name and column != text_column:
                return column, f"id column: {column} (by its name; another: --id-col)"
    return None, "id column: none; rows are numbered (--id-col names one)"


def _note(chosen: str, how: str, others: list[str]) -> str:
    also = f"also possible: {', '.join(others[:5])}; " if others else ""
    return f"text column: {chosen} ({how}; {also}another: --text-col)"


def _in_every_file(samples: Sequence[Sample]) -> list[str]:
    files: dict[str, dict[str, None]] = {}
    for sample in samples:
        files.setdefault(sample.file, {}).update(dict.fromkeys(sample.columns))
    every = set.intersection(*(set(columns) for columns in files.values())) if files else set()
    return list(dict.fromkeys(column for columns in files.values() for column in columns if column in every))


def _wanted(samples: Sequence[Sample], common: list[str], wanted: str, option: str, no_header: bool) -> str:
    if wanted in common:
        return wanted
    if no_header and wanted.isdecimal() and f"column_{int(wanted)}" in common:
        return f"column_{int(wanted)}"
    for column in common:
        if column.strip().casefold() == wanted.strip().casefold():
            return column
    without = next((sample for sample in samples if wanted not in sample.columns), samples[0])
    close = get_close_matches(wanted, without.columns, 1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; name one of these with {option}"
    raise TableError(
        f"expected a column {wanted!r} ({option}) in {without.place}, found {_listed(without.columns)}{hint}"
    )


def _not_found(samples: Sequence[Sample], common: list[str]) -> TableError:
    if not common and len({sample.file for sample in samples}) > 1:
        others = [sample for sample in samples if sample.file != samples[0].file]
        other = min(others, key=lambda sample: len(set(sample.columns) & set(samples[0].columns)))
        return TableError(
            "expected all files to have the text column under one name, "
            f"found {_listed(samples[0].columns)} in {samples[0].place} but {_listed(other.columns)} in {other.place}; "
            "rename a column or score the files separately"
        )
    return TableError(
        f"expected a column with Chinese text in {samples[0].place}, "
        f"found none among {_listed(common or samples[0].columns)}; name it with --text-col"
    )


def _listed(columns: Sequence[str]) -> str:
    shown = [column if len(column) <= 40 else column[:39] + "…" for column in columns[:40]]
    return "the columns " + ", ".join(" ".join(name.split()) for name in shown) + (", …" if len(columns) > 40 else "")


def _exact(columns: list[str]) -> list[str]:
    return sorted((c for c in columns if folded(c) in TEXT_NAMES), key=lambda c: TEXT_NAMES.index(folded(c)))


def _part(column: str) -> int:
    return next((rank for rank, part in enumerate(_TEXT_PARTS) if part in folded(column)), len(_TEXT_PARTS))


def _containing(columns: list[str]) -> list[str]:
    return [c for c in columns if _part(c) < len(_TEXT_PARTS) and not _OTHER.search(folded(c))]


def _numbers_only(samples: Sequence[Sample], column: str) -> bool:
    cells = [str(cell) for sample in samples for row in sample.rows if (cell := row.get(column)) not in (None, "")]
    return len(cells) > 2 and all(not re.search(r"[^\W\d_]", cell) and any(map(str.isdigit, cell)) for cell in cells)


def _han(samples: Sequence[Sample], column: str) -> tuple[int, float]:
    """Chinese characters and mean length of a column's strings."""
    cells: list[Any] = [row.get(column) for sample in samples for row in sample.rows]
    texts = [cell for cell in cells if isinstance(cell, str) and cell]
    total = sum(len(_HAN.findall(text[:2000])) for text in texts)
    return total, sum(map(len, texts)) / len(texts) if texts else 0.0
