"""Which column holds date, cinema, rating, customer and reply, by its name; and what the cells of each mean (of dates:
`dates`)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sentiment.report.dates import finite
from sentiment.tables.base import TableError
from sentiment.tables.columns import folded


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In order of preference; compared without case, white space, punctuation and underscores.
NAMES: dict[str, tuple[str, ...]] = {
    "date": _words(
        "日期 时间 评论日期 评论时间 评价日期 评价时间 发布日期 发布时间 发表时间 投诉日期 投诉时间 创建日期 "
        "创建时间 提交时间 留言时间 反馈时间 观影日期 到店日期 時間 評論日期 評論時間 評價日期 評價時間 "
        "發布日期 發布時間 發表時間 投訴日期 投訴時間 創建日期 創建時間 留言時間 觀影日期 date datetime time "
        "day created createdat createdtime timestamp reviewdate reviewtime commentdate commenttime postdate "
        "posttime publishdate publishtime"
    ),
    "cinema": _words(
        "影院 影院名称 影院名 影城 影城名称 门店 门店名称 店名 店铺 店铺名称 分店 戏院 影院编号 影院id "
        "门店编号 门店id 影院名稱 影城名稱 門店 門店名稱 店鋪 店鋪名稱 戲院 戲院名稱 影院編號 門店編號 cinema "
        "cinemaname cinemaid theater theatre theatername store storename storeid shop shopname branch venue "
        "outlet"
    ),
    "rating": _words(
        "评分 星级 打分 分数 得分 总评分 总分 评星 评价星级 用户评分 評分 星級 分數 總評分 總分 評星 rating "
        "score stars star ratings rate overallrating userrating starrating"
    ),
    "customer": _words(
        "客户 客户编号 客户id 客户号 顾客 顾客id 顾客编号 会员 会员号 会员卡号 会员id 用户 用户id 用户编号 "
        "用户名 昵称 手机号 客戶 客戶編號 客戶id 顧客 顧客id 會員 會員號 會員卡號 用戶 用戶id 用戶名 暱稱 "
        "手機號 customer customerid client clientid user userid username member memberid author nickname"
    ),
    "reply": _words(
        "回复 商家回复 回复内容 是否回复 已回复 回复状态 客服回复 影院回复 官方回复 回復 商家回復 回復內容 "
        "是否回復 已回復 回復狀態 回覆 商家回覆 回覆內容 是否回覆 已回覆 客服回覆 reply replied response "
        "responded replycontent answered merchantreply ownerreply"
    ),
}
_NOT_REPLIED = {""} | frozenset(
    _words("0 0.0 false n n/a na nan no none null pending unanswered 否 尚未 无 暂无 暫無 未 沒有 没有 無")
)
# The whole cell says so; a reply may have the same words in it.
_NO_REPLY_YET = re.compile(
    r"(?:商家|客服|影院|官方)?(?:[暂暫][时時]?|尚|[还還])?(?:[无無未]|[没沒]有?|等?待)(?:商家|客服|影院|官方)?"
    r"(?:[回答][复復覆]|[处處]理|跟[进進])"
)
_DASHES = " -‐‑–—―－_/.。…()（）[]【】"  # around a word for "no", or alone
_NO_NAME = {""} | frozenset(_words("\\n n/a nan none null 未知"))
_NOBODY = re.compile(r"匿名.*|[游遊]客|anonymous(?: user)?|\*+")  # many people, each of them one customer
_NUMBER = re.compile(
    r"-?(?:(?P<thousands>[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?)(?!,?\d)"  # 1,200 and 1,200.5
    r"|(?P<comma>(?:\d{1,3}(?:\.\d{3})+|\d+),\d+)(?!,?\d)"  # 4,5 and 1.200,5
    r"|\d+(?:\.\d+)?)"
)
_STARS = {"一": 1.0, "二": 2.0, "两": 2.0, "兩": 2.0, "三": 3.0, "四": 4.0, "五": 5.0}
_MOST_RATING = 1e6  # beyond it is an identifier, or a slip


def find_group(columns: Sequence[str], roles: Mapping[str, str], by: str) -> str:
    """The column of `--by`: of that name, or the one that has that role.

    Raises:
        TableError: there is none.
    """
    found = next((column for column in columns if folded(column) == folded(by)), roles.get(by))
    if found is None:
        shown = ", ".join(columns[:40]) or "no columns"
        raise TableError(f"expected a column {by!r} (--by), found {shown}; name one of these, or `cinema`")
    return found


def find_roles(columns: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """role → column, for the roles of `NAMES`; `given` are those that the user named.

    Raises:
        TableError: a given column is not there.
    """
    found: dict[str, str] = {}
    by_name = {folded(column): column for column in reversed(columns)}
    for role, column in given.items():
        if column is None:
            continue
        name = column if column in columns else by_name.get(folded(column))
        if name is None:
            shown = ", ".join(columns[:40]) or "no columns"
            raise TableError(f"expected a column {column!r} (--{role}-col), found {shown}; name one of these")
        found[role] = name
    taken = set(found.values())
    for role, names in NAMES.items():
        if role not in found:
            hit = next((by_name[n] for n in map(folded, names) if n in by_name and by_name[n] not in taken), None)
            if hit is not None:
                found[role] = hit
                taken.add(hit)
    return found


def parse_rating(value: Any) -> float:
    """A cell as a number: 4, "4.5", "4,5", "1,200" (1200), "4星", "★★★★☆", "四星", "8/10" (8). NaN if there is none up
    to a million."""
    number = finite(value)
    if number is not None:
        return number if abs(number) <= _MOST_RATING else math.nan
    if isinstance(value, str):
        if match := _NUMBER.search(value):
            number = _as_written(match)
            return number if abs(number) <= _MOST_RATING else math.nan
        if "★" in value:
            return float(value.count("★"))
        if value.strip().endswith(("星", "分")) and value.strip()[:1] in _STARS:
            return _STARS[value.strip()[:1]]
    return math.nan


def _as_written(match: re.Match[str]) -> float:
    """The number, whichever of comma and point stands before its decimals."""
    if match["thousands"]:
        return float(match[0].replace(",", ""))
    return float(match[0].replace(".", "").replace(",", ".") if match["comma"] else match[0])


def parse_reply(value: Any) -> bool:
    """Whether a cell says that somebody replied: any text but a blank one or a word for "no"."""
    if value is None or value is False:
        return False
    said = str(value).strip().strip(_DASHES).casefold()
    return said not in _NOT_REPLIED and _NO_REPLY_YET.fullmatch(said) is None


def parse_name(value: Any) -> str | None:
    """A cell as the name of a cinema, group or customer; None if it is blank or a word for that."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, float) and value == int(value):
        value = int(value)
    name = " ".join(str(value).split())
    return None if name.strip("-‐‑–—―－/").casefold() in _NO_NAME else name


def parse_customer(value: Any) -> str | None:
    """A cell as the name of a customer; None if it is blank, or says that nobody knows who it was."""
    name = parse_name(value)
    return None if name is None or _NOBODY.fullmatch(name.casefold()) else name
