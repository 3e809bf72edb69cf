"""Readers for public corpora kept outside the project: a folder given by path, each file mapped to our labels.

A category is mapped only where it means the same as a dimension of ours; the rest stays unknown. The mapping names the
packaged taxonomy's keys, so these readers serve it alone; keys that a taxonomy lacks are dropped.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, Example

# Files whose rows under the hash rule are a later test: in no fitting, pretraining or vocabulary count.
HELD_OUT_FILES = ("senti_chnsenticorp_hotel", "senti_waimai_10k", "senti_online_shopping_10_cats")

AI_CHALLENGER = {
    "service_wait_time": "waiting", "service_waiters_attitude": "staff", "service_parking_convenience": "parking",
    "price_level": "price", "price_discount": "promotion", "environment_decoration": "environment",
    "environment_cleaness": "cleanliness", "environment_noise": "order", "dish_taste": "concessions",
    "location_traffic_convenience": "location",
}  # fmt: skip
DIM_ABSA = {
    "SERVICE#GENERAL": "staff", "AMBIENCE#GENERAL": "environment", "RESTAURANT#PRICES": "price",
    "LOCATION#GENERAL": "location", "FOOD#QUALITY": "concessions", "DRINKS#QUALITY": "concessions",
    "FOOD#PRICES": "concessions", "DRINKS#PRICES": "concessions",
}  # fmt: skip
DIANPING_TERMS = {
    "服务": "staff", "服务态度": "staff", "服务员": "staff", "态度": "staff", "环境": "environment",
    "装修": "environment", "价格": "price", "性价比": "price", "位置": "location", "地理位置": "location",
    "停车": "parking", "卫生": "cleanliness",
    "味道": "concessions", "口味": "concessions", "排队": "waiting", "上菜速度": "waiting", "团购": "promotion",
}  # fmt: skip
OPENRICE = {
    "environment": "environment",
    "service": "staff",
    "hygiene": "cleanliness",
    "value": "price",
    "food": "concessions",
}


def read_rows(corpora: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of one corpus file.

    Raises:
        DatasetError: no such file in the folder.
    """
    path = corpora / f"{name}.jsonl.xz"
    if not path.is_file():
        raise DatasetError(f"expected the corpus file {path.name} in --corpora, found no such file in {corpora}")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def in_held_out_rows(text: str) -> bool:
    """Whether the hash rule keeps a text of the public polarity sets (a fifth of them) for a later test."""
    return int(hashlib.sha1(text.encode()).hexdigest()[:8], 16) % 5 == 0


@lru_cache(maxsize=1)  # every stand-off file and every corpus asks, and three files have to be unpacked for it
def held_out_texts(corpora: Path) -> frozenset[str]:
    """Texts kept for the later test, wherever else they may appear. A folder is read once a process."""
    return frozenset(
        row["text"] for name in HELD_OUT_FILES for row in read_rows(corpora, name) if in_held_out_rows(row["text"])
    )


def _aspects(row: dict[str, Any], table: dict[str, str], field: str = "category") -> dict[str, str]:
    """Dimension → sentiment; aspects of one dimension that disagree are neutral ("good and bad in equal parts")."""
    found: dict[str, set[str]] = {}
    for aspect in row["aspects"]:
        key = table.get(aspect[field])
        if key and aspect.get("polarity"):
            found.setdefault(key, set()).add(aspect["polarity"])
    return {key: values.pop() if len(values) == 1 else "neutral" for key, values in found.items()}


def _ai_challenger(row: dict[str, Any]) -> dict[str, Any]:
    # Every category was judged, so a mapped dimension that is absent was not mentioned. An unlabelled row says nothing.
    if not row.get("aspects"):
        return {}
    return {"labels": _aspects(row, AI_CHALLENGER), "annotated": set(AI_CHALLENGER.values()) - {"order"}}


def _dim_absa(row: dict[str, Any]) -> dict[str, Any]:
    return {"labels": _aspects(row, DIM_ABSA), "annotated": set(DIM_ABSA.values())}


def _dianping(row: dict[str, Any]) -> dict[str, Any]:
    labels = _aspects(row, DIANPING_TERMS, "term")  # incomplete by design of the source: only what is there is known
    spans = {DIANPING_TERMS[a["term"]]: a["opinion"] for a in row["aspects"] if a["term"] in DIANPING_TERMS}
    return {"labels": labels, "annotated": set(labels), "spans": spans}


def _openrice(row: dict[str, Any]) -> dict[str, Any]:
    # Stars are given for every aspect, mentioned or not: they say how a mention would sound, not that there is one.
    return {"labels": {}, "annotated": set(), "overall": _majority([a["polarity"] for a in row["aspects"]])}


def _film(row: dict[str, Any]) -> dict[str, Any]:
    stars = row.get("rating")
    if stars is None:
        return {}
    overall = "positive" if stars >= 4 else "negative" if stars <= 2 else "neutral"
    return {"labels": {}, "annotated": set(), "overall": overall, "rating": float(stars)}


def _binary(row: dict[str, Any]) -> dict[str, Any]:
    return {"labels": {}, "annotated": set(), "overall": "positive" if row["label"] else "negative"}


def _majority(values: list[str]) -> str | None:
    for value in ("positive", "negative", "neutral"):
        if values and values.count(value) == len(values):
            return value
    return None


READERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "absa_aichallenger_pieces": _ai_challenger,
    "absa_dimabsa_restaurant_zh": _dim_absa,
    "absa_zhang_dianping_aste": _dianping,
    "reviews_openrice_aspect_stars": _openrice,
    "film_maoyan": _film,
    "film_douban": _film,
    "senti_waimai_10k": _binary,
    "senti_chnsenticorp_hotel": _binary,
    "senti_online_shopping_10_cats": _binary,
}


def read_corpus(
    corpora: Path,
    name: str,
    taxonomy: Taxonomy,
    *,
    limit: int | None = None,
    max_characters: int = 200,
    weight: float = 1.0,
    seed: int = 0,
    exclude: Iterable[str] = (),
) -> list[Example]:
    """Weakly labelled examples of one corpus, a seeded sample of `limit` texts of at most `max_characters`.

    Rows of the later test and texts in `exclude` are left out. Overall classes are drawn evenly where a row has one.
    """
    reader = READERS.get(name)
    if reader is None:
        raise DatasetError(f"expected one of {', '.join(READERS)}, found {name!r}")
    banned = held_out_texts(corpora) | set(exclude)
    examples: list[Example] = []
    for row in read_rows(corpora, name):
        text = row["text"]
        if not 2 <= len(text) <= max_characters or text in banned:
            continue
        said = reader(row)
        if not said or not (said["annotated"] or said.get("overall")):
            continue
        labels = {}
        for key, sentiment in said["labels"].items():
            evidence = said.get("spans", {}).get(key)
            at = text.find(evidence) if evidence else -1
            if key in taxonomy.index:
                labels[key] = (sentiment, at, at + len(evidence) if at >= 0 else -1)
        examples.append(
            Example(
                text=text,
                labels=labels,
                annotated=frozenset(said["annotated"]) & frozenset(taxonomy.keys),
                overall=said.get("overall"),
                rating=said.get("rating"),
                id=hashlib.sha256(text.encode()).hexdigest(),
                source=name,
                weight=weight,
            )
        )
    rng = random.Random(seed)
    rng.shuffle(examples)
    return examples if limit is None else _even(examples, limit)


def _even(examples: list[Example], limit: int) -> list[Example]:
    """The first `limit` examples, taken from the overall classes in turn as far as each goes."""
    classes: dict[str | None, list[Example]] = {}
    for example in examples:
        classes.setdefault(example.overall, []).append(example)
    queues = list(classes.values())
    share, chosen = limit // max(len(queues), 1) + 1, []
    for queue in sorted(queues, key=len):
        chosen.extend(queue[:share])
    return chosen[:limit]
