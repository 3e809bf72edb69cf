"""Label Studio: the labelling configuration of a label space, tasks with pre-annotations, and the JSON that it exports.

A mention is a span with a dimension, and a sentiment chosen for that span; `overall`, `intent` and `escalation` are
choices. Label Studio counts code points in plain text now and counted UTF-16 code units before: what is read is checked
against the words that come along.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sentiment.tables.flat import Lang
from sentiment.tables.scored import HEADS, TRUTH, ScoredText
from sentiment.taxonomy import Taxonomy
from training.example import DatasetError
from training.names import ShownNames

Offsets = Literal["codepoints", "utf16"]

MENTIONS, SENTIMENT, TEXT = "mentions", "sentiment", "text"
_TITLES = {
    "en": {SENTIMENT: "Sentiment of the span", "overall": "Overall", "intent": "Intent", "escalation": "Act now?"},
    "zh": {SENTIMENT: "所选片段的情感", "overall": "整体情感", "intent": "诉求类型", "escalation": "需升级处理？"},
}
# A colour a group of dimensions, dark enough for white letters beside light ones.
_COLOURS = ("#1f6feb", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#0f7b8a", "#bc4c00", "#57606a")


def labelling_config(taxonomy: Taxonomy, lang: Lang = "en") -> str:
    """The XML to paste into a project's labelling interface."""
    names, titles = ShownNames(taxonomy, lang), _TITLES[lang]
    groups = list(dict.fromkeys(dimension.group for dimension in taxonomy.dimensions))
    view = ET.Element("View")
    labels = ET.SubElement(view, "Labels", name=MENTIONS, toName=TEXT, showInline="true")
    for dimension in taxonomy.dimensions:
        colour = _COLOURS[groups.index(dimension.group) % len(_COLOURS)]
        ET.SubElement(labels, "Label", value=names.dimension(dimension.key), background=colour)
    ET.SubElement(view, "Text", name=TEXT, value=f"${TEXT}", granularity="symbol")
    span = ET.SubElement(view, "View", visibleWhen="region-selected")
    _choices(span, SENTIMENT, titles[SENTIMENT], map(names.value, taxonomy.sentiments), perRegion="true")
    for head, values in _heads(taxonomy).items():
        _choices(view, head, titles[head], (names.value(_text(value)) for value in values))
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def _heads(taxonomy: Taxonomy) -> dict[str, Sequence[Any]]:
    return {"overall": taxonomy.overall, "intent": taxonomy.intents, "escalation": (False, True)}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choices(parent: ET.Element, name: str, title: str, values: Any, **more: str) -> None:
    ET.SubElement(parent, "Header", value=title, size="5")
    options = {"choice": "single-radio", "required": "true", "showInline": "true", **more}
    choices = ET.SubElement(parent, "Choices", {"name": name, "toName": TEXT, **options})
    for value in values:
        ET.SubElement(choices, "Choice", value=value)


def task(scored: ScoredText, taxonomy: Taxonomy, lang: Lang = "en", offsets: Offsets = "codepoints") -> dict[str, Any]:
    """A task with what the model said as its pre-annotation. A mention whose words are unknown spans the text."""
    names, text = ShownNames(taxonomy, lang), scored.text
    unit: Callable[[int], int] = (lambda at: at) if offsets == "codepoints" else (lambda at: utf16(text, at))
    result: list[dict[str, Any]] = []
    for number, mention in enumerate(scored.labels.get("labels", ())):
        if mention.get("dimension") not in taxonomy.index or mention.get("sentiment") not in taxonomy.sentiments:
            continue
        start, end = _place(mention, text)
        place = {"start": unit(start), "end": unit(end), "text": text[start:end]}
        key, sentiment = names.dimension(mention["dimension"]), names.value(mention["sentiment"])
        region = {"id": f"m{number}", "to_name": TEXT}
        result.append({**region, "from_name": MENTIONS, "type": "labels", "value": {**place, "labels": [key]}})
        result.append({**region, "from_name": SENTIMENT, "type": "choices", "value": {**place, "choices": [sentiment]}})
    for head, values in _heads(taxonomy).items():
        value = scored.labels.get(head)
        if value in values:
            choice = {"choices": [names.value(_text(value))]}
            result.append({"id": head, "to_name": TEXT, "from_name": head, "type": "choices", "value": choice})
    prediction: dict[str, Any] = {"model_version": scored.model or "cinesent", "result": result}
    if scored.confidence:
        prediction["score"] = round(min(scored.confidence.values()), 4)
    data = {TEXT: text, "id": scored.id, "source": scored.source, "row": scored.row}
    return {"data": data, "predictions": [prediction]}


def _place(mention: Mapping[str, Any], text: str) -> tuple[int, int]:
    if "start" in mention:
        return mention["start"], mention["end"]
    words = mention.get("evidence") or text
    at = text.find(words)
    return (0, len(text)) if at < 0 else (at, at + len(words))


def utf16(text: str, at: int) -> int:
    """A position in code points as UTF-16 code units."""
    return len(text[:at].encode("utf-16-le", "surrogatepass")) // 2


def codepoint(text: str, at: int) -> int | None:
    """A position in UTF-16 code units as code points; None inside a pair or behind the end."""
    raw = text.encode("utf-16-le", "surrogatepass")[: 2 * at]
    if len(raw) != 2 * at or (raw and 0xD8 <= raw[-1] <= 0xDB):
        return None
    return len(raw.decode("utf-16-le", "surrogatepass"))


@dataclass(frozen=True)
class Annotation:
    """What one person said about a task: `labels` has the members of a labelled record, `settled` marks the one that
    the project declared the truth, `mixed` the dimensions whose spans did not have one sentiment."""

    by: str
    at: str
    labels: dict[str, Any]
    settled: bool = False
    mixed: tuple[str, ...] = ()


def is_task(row: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a task of Label Studio's JSON export."""
    return isinstance(row.get("data"), dict) and ("annotations" in row or "predictions" in row)


def task_text(row: Mapping[str, Any], column: str | None = None) -> str:
    """The task's text.

    Raises:
        DatasetError: it is not under `text`, or under the name given.
    """
    value = row["data"].get(column or TEXT)
    if not isinstance(value, str):
        found = ", ".join(map(str, row["data"])) or "nothing"
        raise DatasetError(f"expected the text as data.{column or TEXT}, found {found}; name it with --text-col")
    return value


def read_annotations(row: Mapping[str, Any], text: str, taxonomy: Taxonomy) -> Iterator[Annotation | DatasetError]:
    """What each person said, oldest first as it stands there; an annotation that cannot be used is its error. Skipped
    ones, and those without any result, are left out."""
    names = ShownNames(taxonomy)
    for entry in row.get("annotations") or ():
        if not isinstance(entry, dict) or entry.get("was_cancelled") or not entry.get("result"):
            continue
        person = entry.get("completed_by")
        by = person.get("email") or person.get("id") if isinstance(person, dict) else person
        try:
            labels, mixed = _labels(entry["result"], text, taxonomy, names)
        except DatasetError as error:
            yield DatasetError(f"annotation {entry.get('id', '?')}: {error}")
            continue
        at = str(entry.get("updated_at") or entry.get("created_at") or "")
        yield Annotation(str(by or "unnamed"), at, labels, bool(entry.get("ground_truth")), mixed)


def _labels(
    result: Sequence[Mapping[str, Any]], text: str, taxonomy: Taxonomy, names: ShownNames
) -> tuple[dict[str, Any], tuple[str, ...]]:
    spans: dict[str, tuple[str, int, int]] = {}
    sentiments: dict[str, str] = {}
    labels: dict[str, Any] = {}
    for item in result:
        kind, source, value = item.get("type"), item.get("from_name"), item.get("value")
        if not isinstance(value, dict):
            continue  # a relation between regions
        if kind == "labels":
            for shown in value.get("labels", ()):
                spans[str(item.get("id"))] = (names.dimension_key(shown), *_span(value, text))
        elif kind == "choices" and value.get("choices"):
            label = names.label(str(value["choices"][0]))
            if source == SENTIMENT:
                sentiments[str(item.get("id"))] = label
            elif source in HEADS:
                labels[source] = TRUTH.get(label, label) if source == "escalation" else label
    grouped: dict[str, list[tuple[str, int, int]]] = {}
    for region, (key, start, end) in spans.items():
        if region not in sentiments:
            raise DatasetError(f"expected a sentiment for the span of {key}, found none; choose one in Label Studio")
        grouped.setdefault(key, []).append((sentiments[region], start, end))
    mixed = tuple(key for key, found in grouped.items() if len({sentiment for sentiment, _, _ in found}) > 1)
    labels["labels"] = [
        # Good and bad of one dimension together are neutral: data/labelling-guidelines.md, section 2.
        {"dimension": key, "sentiment": "neutral" if key in mixed else found[0][0], "start": start, "end": end}
        for key, found in grouped.items()
        for _, start, end in found[:1]
    ]
    return labels, mixed


def _span(value: Mapping[str, Any], text: str) -> tuple[int, int]:
    """The span in code points: in whichever unit its offsets fit the words that come along."""
    start, end, words = value.get("start"), value.get("end"), value.get("text")
    if not isinstance(start, int) or not isinstance(end, int):
        raise DatasetError("expected start and end as numbers, found others; label a <Text>, not a <HyperText>")
    units = [(start, end)]
    first, last = codepoint(text, start), codepoint(text, end)
    if first is not None and last is not None:
        units.append((first, last))
    for one, other in units:
        if 0 <= one < other <= len(text) and (not isinstance(words, str) or _bare(text[one:other]) == _bare(words)):
            return one, other
    raise DatasetError(f"expected a span with the words that it names, found others at {start}..{end}; export it again")


def _bare(words: str) -> str:
    """Without white space, and without the \\n that Label Studio writes for a line's end."""
    return "".join(words.replace("\\n", "").split())
