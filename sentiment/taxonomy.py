"""The label space: dimensions with their lenses, sentiments and intents, read from a YAML file or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

# Every attribute of a dimension beyond its key and names is a lens by which reports group dimensions.
LENSES = ("group", "stage", "form", "quality", "ledger", "servqual", "owner")
# Chinese names of the attributes, and of the lens values that are keys (groups and owners are Chinese already).
HEADINGS = {
    "key": "键",
    "name": "名称",
    "group": "分组",
    "stage": "阶段",
    "form": "软硬",
    "quality": "质量",
    "ledger": "价值账",
    "servqual": "SERVQUAL",
    "owner": "首问部门",
}
LENS_VALUES = {
    "before": "售前",
    "during": "售中",
    "after": "售后",
    "hard": "硬服务",
    "soft": "软服务",
    "technical": "技术质量",
    "functional": "功能质量",
    "product": "产品价值",
    "service": "服务价值",
    "personnel": "人员价值",
    "image": "形象价值",
    "money": "货币成本",
    "time": "时间成本",
    "energy": "体力成本",
    "mind": "精神成本",
    "tangibles": "有形性",
    "reliability": "可靠性",
    "responsiveness": "响应性",
    "assurance": "保证性",
    "empathy": "移情性",
    "none": "—",
}
# Labels of the whole text: thresholds and columns of a dimension of that name would meet theirs.
RESERVED = ("overall", "intent", "escalation")


class TaxonomyError(ValueError):
    """A taxonomy that cannot be used; the message says what was expected, what was found, what to do."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One service dimension: `key` is its stable identifier, `zh` and `en` its display names, the rest lenses."""

    key: str
    zh: str
    en: str
    group: str = ""
    stage: str = ""
    form: str = ""
    quality: str = ""
    ledger: str = ""
    servqual: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Taxonomy:
    """An ordered label space. Order is part of it: a checkpoint's outputs follow it. `names` are English names of lens
    values, for display only: a checkpoint does not keep them."""

    dimensions: tuple[Dimension, ...]
    sentiments: tuple[str, ...] = ("positive", "neutral", "negative")
    overall: tuple[str, ...] = ("positive", "neutral", "negative")
    intents: tuple[str, ...] = ("review", "complaint", "suggestion", "inquiry")
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(dimension.key for dimension in self.dimensions)

    @cached_property
    def index(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def service_keys(self) -> tuple[str, ...]:
        """Every dimension but the product itself: ledger "product" outside SERVQUAL; what is on, not how it runs."""
        return tuple(d.key for d in self.dimensions if (d.ledger, d.servqual) != ("product", "none"))

    def __getitem__(self, key: str) -> Dimension:
        try:
            return self.dimensions[self.index[key]]
        except KeyError:
            raise TaxonomyError(
                f"expected a dimension of the taxonomy ({', '.join(self.keys)}), found {key!r}"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """The form that `taxonomy_from_dict` reads: what a checkpoint's config.json keeps."""
        dimensions = [{name: getattr(d, name) for name in ("key", "zh", "en", *LENSES)} for d in self.dimensions]
        return {
            "dimensions": dimensions,
            "sentiments": list(self.sentiments),
            "overall": list(self.overall),
            "intents": list(self.intents),
        }

    def with_names_of(self, other: Taxonomy) -> Taxonomy:
        """This label space with names, owners and lenses taken from `other`, whose keys must be the same set.

        Raises:
            TaxonomyError: the keys differ.
        """
        if set(other.keys) != set(self.keys):
            missing, extra = sorted(set(self.keys) - set(other.keys)), sorted(set(other.keys) - set(self.keys))
            raise TaxonomyError(
                f"expected a taxonomy with the checkpoint's keys, found missing {missing} and unknown {extra}; "
                "override names and lenses only, or train a checkpoint on the new taxonomy"
            )
        return Taxonomy(
            tuple(other[key] for key in self.keys), self.sentiments, self.overall, self.intents, other.names
        )


def _labels(data: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = data.get(name, list(default))
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(v, str) and v for v in value):
        raise TaxonomyError(f"expected `{name}` to list at least two names, found {value!r}")
    if len(set(value)) != len(value):
        raise TaxonomyError(f"expected distinct names in `{name}`, found {value!r}")
    return tuple(cast("list[str]", value))


def taxonomy_from_dict(data: Any) -> Taxonomy:
    """Checks and builds a taxonomy from parsed YAML or JSON.

    Raises:
        TaxonomyError: a dimension without key, a key twice, an unknown attribute, labels that are no list of names, or
            `names` that are no mapping.
    """
    if not isinstance(data, dict) or not isinstance(data.get("dimensions"), list) or not data["dimensions"]:
        raise TaxonomyError(
            "expected a mapping with a non-empty list `dimensions`, found something else; see sentiment/taxonomy.yaml"
        )
    allowed = {"key", "zh", "en", *LENSES}
    dimensions: list[Dimension] = []
    for position, entry in enumerate(data["dimensions"], 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str) or not entry["key"].isidentifier():
            raise TaxonomyError(
                f"expected dimension {position} to have a `key` of letters, digits and _, found {entry!r}"
            )
        unknown = set(entry) - allowed
        if unknown:
            raise TaxonomyError(
                f"expected only {sorted(allowed)} in dimension {entry['key']!r}, found {sorted(unknown)}"
            )
        if entry["key"] in RESERVED:
            raise TaxonomyError(
                f"expected keys other than {', '.join(RESERVED)}, found {entry['key']!r}; rename the dimension"
            )
        values = {name: str(value) for name, value in entry.items() if value is not None}
        dimensions.append(Dimension(**{"zh": values["key"], "en": values["key"], **values}))
    keys = [dimension.key for dimension in dimensions]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise TaxonomyError(f"expected every key once, found {twice} more than once")
    sentiments = _labels(data, "sentiments", Taxonomy.sentiments)
    if set(sentiments) != set(Taxonomy.sentiments):
        raise TaxonomyError(f"expected `sentiments` to be positive, neutral and negative, found {list(sentiments)}")
    overall = _labels(data, "overall", Taxonomy.overall)
    if set(overall) != set(Taxonomy.overall):
        raise TaxonomyError(f"expected `overall` to be positive, neutral and negative, found {list(overall)}")
    names = data.get("names") or {}
    if not isinstance(names, dict) or not all(isinstance(name, str) and name for name in names.values()):
        raise TaxonomyError(f"expected `names` to map lens values to English names, found {names!r}")
    shown = {str(value): name for value, name in names.items()}
    return Taxonomy(tuple(dimensions), sentiments, overall, _labels(data, "intents", Taxonomy.intents), shown)


def load_taxonomy(path: str | Path | None = None) -> Taxonomy:
    """Reads a taxonomy file (YAML, UTF-8); without a path, the packaged one.

    Raises:
        TaxonomyError: the file is no taxonomy. OSError: it cannot be read.
    """
    import yaml  # here, because a checkpoint brings its own and a first record must be quick

    source = files("sentiment") / "taxonomy.yaml" if path is None else Path(path)
    try:
        data = yaml.safe_load(source.read_text("utf-8"))
    except UnicodeDecodeError:
        raise TaxonomyError(f"expected UTF-8 in {path}, found another encoding; save the file as UTF-8") from None
    except yaml.YAMLError as error:
        raise TaxonomyError(f"expected YAML in {path}, found {str(error).splitlines()[0]}") from None
    return taxonomy_from_dict(data)
