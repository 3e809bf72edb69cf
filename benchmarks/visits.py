"""Composes data/samples/visits.csv: 3,000 reviews of eight invented cinemas over a year, with effects planted in them.

The sentences are our own, from data/cinema/train.jsonl (never from the development or test texts): a model trained on
them reads them well, so the sample shows what a report looks like and finds, and nothing about accuracy. Same seed and
same texts, same bytes: the committed sample is of the file when it held 6,723 texts (sha256 c76db3b148be…), and is kept
as it is while texts are added. Run it from the project's folder, with `python -m benchmarks.visits`.

Planted, and looked for by tests/report/test_visits.py:

- what a dimension does to the rating (`EFFECTS`): bad parking costs 1.5 stars and good parking gives nothing
  (必备); good food gives and bad food hardly takes (兴奋); seating and staff work both ways (期望);
- `REPAIRED` repaired its seats on `REPAIR`: complaints about them fall from some 40% to 8% of its texts;
- parking is bad everywhere but in `WELL_PARKED`;
- five customers complain three times each, in whole complaints, and are never answered;
- from June on some texts speak about screenings with pets, which no dimension covers.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import re
from pathlib import Path

from sentiment.text import normalise

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "data" / "cinema" / "train.jsonl"
TARGET = ROOT / "data" / "samples" / "visits.csv"
SEED = 20260831
ROWS = 3000
COLUMNS = ("日期", "影院", "评分", "客户", "回复", "评论")
FIRST, LAST = dt.date(2025, 9, 1), dt.date(2026, 8, 31)

CINEMAS = (
    "云杉影城·河东店", "星桥影城·南站店", "松果影院·文昌里", "海螺影城·滨江店",
    "晚风影城·大学城", "鹿鸣影院·老城店", "长庚影城·万象里", "知秋影院·湖滨店",
)  # fmt: skip
REPAIRED, REPAIR = CINEMAS[0], dt.date(2026, 3, 1)
WELL_PARKED = (CINEMAS[3], CINEMAS[7])

# Stars lost by a negative mention and won by a positive one.
EFFECTS = {
    "film": (-0.7, 0.7),
    "parking": (-1.5, 0.0),
    "seating": (-0.8, 0.8),
    "staff": (-0.8, 0.8),
    "concessions": (-0.1, 1.0),
    "cleanliness": (-0.9, 0.2),
    "sound": (-0.4, 0.5),
}
BASE, NOISE = 3.4, 0.45
# Shares of texts with a positive, neutral, negative mention.
SHARES = {
    "film": (0.28, 0.08, 0.18),
    "picture": (0.06, 0.01, 0.03),
    "sound": (0.07, 0.01, 0.04),
    "seating": (0.09, 0.02, 0.07),
    "environment": (0.06, 0.02, 0.03),
    "cleanliness": (0.05, 0.01, 0.05),
    "order": (0.02, 0.01, 0.05),
    "safety": (0.01, 0.005, 0.015),
    "staff": (0.10, 0.01, 0.05),
    "waiting": (0.03, 0.01, 0.05),
    "ticketing": (0.03, 0.02, 0.03),
    "refund": (0.015, 0.01, 0.02),
    "complaint_handling": (0.01, 0.005, 0.02),
    "price": (0.03, 0.03, 0.05),
    "promotion": (0.03, 0.02, 0.02),
    "concessions": (0.10, 0.02, 0.06),
    "location": (0.05, 0.01, 0.02),
    "parking": (0.10, 0.02, 0.17),
}
PETS = (
    "今天赶上宠物友好场，第一次带狗子来看电影",
    "宠物友好场能不能多排几场，我家猫还没看过",
    "宠物友好场的狗狗们比人还乖",
    "听说六月开始有宠物友好场，想带狗子来",
    "宠物友好场散场合影，全是毛孩子",
    "冲着宠物友好场来的，狗子全程在睡觉",
)
REPLIES = ("感谢您的反馈，我们已转相关部门处理。", "很抱歉给您带来不便，值班经理会与您联系。", "谢谢支持，欢迎再来！")
STOP = "。！？!?…～~；;"

Fragments = dict[tuple[str, str], list[str]]


def fragments(source: Path) -> tuple[Fragments, Fragments, list[str], dict[str, str]]:
    """Sentences of one mention each: those of reviews and of complaints, by dimension and sentiment; urgent texts; and
    the whole text of each sentence."""
    reviews: Fragments = {}
    complaints: Fragments = {}
    urgent: list[str] = []
    whole: dict[str, str] = {}
    for line in source.read_text("utf-8").splitlines():
        record = json.loads(line)
        text = record["text"]
        if record.get("kind") == "decoy" or normalise(text).script != "hans":
            continue
        if record["escalation"] and len(text) <= 80:
            urgent.append(text)
            continue
        kind = complaints if record["intent"] == "complaint" else reviews
        for sentence in re.findall(rf"[^{STOP}\n]+[{STOP}]*", text):
            inside = [label for label in record["labels"] if label["evidence"] in sentence]
            if len(inside) == 1 and 6 <= len(sentence) <= 42 and len(record["labels"]) <= 3:
                kept = kind.setdefault((inside[0]["dimension"], inside[0]["sentiment"]), [])
                cleaned = sentence.strip(' ,，、\n"“”')
                if cleaned not in kept:
                    kept.append(cleaned)
                    whole.setdefault(cleaned, text.replace("\n", ""))
    return reviews, complaints, urgent, whole


def share(dimension: str, cinema: str, day: dt.date) -> tuple[float, float, float]:
    """How often this cinema's texts of that day praise, mention, and blame the dimension."""
    positive, neutral, negative = SHARES[dimension]
    if dimension == "seating" and cinema == REPAIRED:
        return (0.12, neutral, 0.08) if day >= REPAIR else (0.03, neutral, 0.45)
    if dimension == "parking" and cinema in WELL_PARKED:
        return 0.22, neutral, 0.03
    tilt = 1 + 0.12 * (CINEMAS.index(cinema) - 3.5) / 3.5  # the later cinemas are a little worse at all else
    return positive / tilt, neutral, negative * tilt


def stars(rng: random.Random, mentions: list[tuple[str, str]]) -> str:
    if rng.random() < 0.04:
        return ""
    value = BASE + rng.gauss(0, NOISE)
    for dimension, sentiment in mentions:
        negative, positive = EFFECTS.get(dimension, (-0.25, 0.2))
        value += {"negative": negative, "positive": positive}.get(sentiment, 0.0)
    return str(min(5, max(1, round(value))))


def join(parts: list[str]) -> str:
    return "".join(part if part[-1] in STOP else f"{part}，" for part in parts).rstrip("，")


def compose(seed: int = SEED) -> list[tuple[str, ...]]:
    """The rows, in order of date."""
    rng = random.Random(seed)
    reviews, complaints, urgent, whole = fragments(SOURCE)
    days = (LAST - FIRST).days + 1
    rows: list[tuple[str, ...]] = []
    seen: set[str] = set()
    while len(rows) < ROWS - 15:
        cinema = rng.choice(CINEMAS)
        day = FIRST + dt.timedelta(days=rng.randrange(days))
        mentions = []
        for dimension in SHARES:
            positive, neutral, negative = share(dimension, cinema, day)
            at = rng.random()
            for sentiment, bound in (
                ("positive", positive),
                ("neutral", positive + neutral),
                ("negative", positive + neutral + negative),
            ):
                if at < bound:
                    mentions.append((dimension, sentiment))
                    break
        rng.shuffle(mentions)
        mentions = mentions[:4]
        blamed = any(sentiment == "negative" and dimension != "film" for dimension, sentiment in mentions)
        angry = blamed and rng.random() < 0.2
        parts = [rng.choice((angry and complaints.get(mention)) or reviews[mention]) for mention in mentions]
        if day >= dt.date(2026, 6, 1) and rng.random() < 0.08:
            parts.append(rng.choice(PETS))
        rating = stars(rng, mentions)
        if rng.random() < 0.012:
            parts, rating = [rng.choice(urgent)], "1"
        text = join(parts)
        if (not text and rng.random() < 0.9) or text in seen:  # a few blank ones stay, as in real exports
            continue
        if text:
            seen.add(text)
        customer = f"K{rng.randrange(1, 2400):04d}" if rng.random() < 0.7 else ""
        reply = rng.choice(REPLIES) if rng.random() < (0.35 if angry else 0.15) else ""
        rows.append((day.isoformat(), cinema, rating, customer, reply, text))
    for person in range(5):  # complained three times, never answered
        cinema = CINEMAS[person]
        start = dt.date(2026, 6, 1) + dt.timedelta(days=5 * person)
        for visit, dimension in enumerate(("waiting", "staff", "complaint_handling")):
            text = rng.choice([t for t in complaints[dimension, "negative"] if t not in seen])
            seen.add(text)
            day = start + dt.timedelta(days=14 * visit)
            rows.append((day.isoformat(), cinema, "1", f"K9{person:03d}", "", whole[text]))
    rows.sort(key=lambda row: row[0])
    return rows


def to_bytes(rows: list[tuple[str, ...]]) -> bytes:
    """CSV as the other sample: UTF-8 with a byte order mark, lines ending in CR LF."""
    written = io.StringIO(newline="")
    csv.writer(written).writerows([COLUMNS, *rows])
    return b"\xef\xbb\xbf" + written.getvalue().encode("utf-8")


if __name__ == "__main__":
    made = to_bytes(compose())
    TARGET.write_bytes(made)
    print(f"{TARGET.relative_to(ROOT)}: {ROWS} rows, {len(made):,} bytes")
