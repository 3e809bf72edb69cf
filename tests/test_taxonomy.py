from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sentiment.analyzer import Analyzer
from sentiment.taxonomy import LENSES, Taxonomy, TaxonomyError, load_taxonomy, taxonomy_from_dict

if TYPE_CHECKING:
    from training.example import Example

ROOT = Path(__file__).parents[1]
# Files that may name dimensions of the packaged taxonomy, and which ones. Anything else reads them from the taxonomy.
EXAMPLES_OF_THE_API = {"seating", "price"}
MAY_NAME = {"serve/schemas.py": EXAMPLES_OF_THE_API, "serve/feedback.py": EXAMPLES_OF_THE_API}
MAY_MAP = "training/corpora.py"  # foreign categories → ours


def test_taxonomy_packaged_is_the_label_space_of_the_product(taxonomy: Taxonomy) -> None:
    assert len(taxonomy.keys) == len(set(taxonomy.keys)) == 18
    assert taxonomy.keys[:4] == ("film", "picture", "sound", "seating")
    assert taxonomy["seating"].zh == "座椅视野" and taxonomy["seating"].owner == "工程"
    assert taxonomy.sentiments == taxonomy.overall == ("positive", "neutral", "negative")
    assert taxonomy.intents == ("review", "complaint", "suggestion", "inquiry")
    assert all(getattr(dimension, lens) for dimension in taxonomy.dimensions for lens in LENSES)
    assert [taxonomy.index[key] for key in taxonomy.keys] == list(range(18))


def test_taxonomy_service_keys_leave_out_the_film_alone(taxonomy: Taxonomy, own_taxonomy: Taxonomy) -> None:
    assert taxonomy.service_keys == taxonomy.keys[1:]
    assert own_taxonomy.service_keys == own_taxonomy.keys


def test_taxonomy_survives_the_way_through_a_config(taxonomy: Taxonomy, own_taxonomy: Taxonomy) -> None:
    for space in (taxonomy, own_taxonomy):
        assert taxonomy_from_dict(json.loads(json.dumps(space.to_dict()))) == space


def test_taxonomy_names_default_to_the_key_and_blanks_stay_blank(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes("\ufeffdimensions:\n  - key: bread\n    owner:\n    zh: ~\n".encode())
    bread = load_taxonomy(path)["bread"]
    assert (bread.zh, bread.en, bread.owner, bread.stage) == ("bread", "bread", "", "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "non-empty list `dimensions`"),
        ([], "non-empty list `dimensions`"),
        ({"dimensions": []}, "non-empty list `dimensions`"),
        ({"dimensions": {"key": "bread"}}, "non-empty list `dimensions`"),
        ({"dimensions": [{"key": "bread"}, {"zh": "面包"}]}, "dimension 2 to have a `key`"),
        ({"dimensions": ["bread"]}, "dimension 1 to have a `key`"),
        ({"dimensions": [{"key": "a b"}]}, "letters, digits and _, found {'key': 'a b'}"),
        ({"dimensions": [{"key": False}]}, "dimension 1 to have a `key`"),
        ({"dimensions": [{"key": "bread", "colour": "brown"}]}, "in dimension 'bread', found ['colour']"),
        ({"dimensions": [{"key": "bread"}, {"key": "bread"}]}, "every key once, found ['bread']"),
        ({"dimensions": [{"key": "escalation"}]}, "keys other than overall, intent, escalation, found 'escalation'"),
        ({"dimensions": [{"key": "bread"}], "sentiments": ["good", "bad", "so so"]}, "`sentiments` to be positive"),
        ({"dimensions": [{"key": "bread"}], "sentiments": ["positive", "negative"]}, "`sentiments` to be positive"),
        ({"dimensions": [{"key": "bread"}], "overall": ["good", "bad"]}, "`overall` to be positive"),
        (
            {"dimensions": [{"key": "bread"}], "intents": "review"},
            "`intents` to list at least two names, found 'review'",
        ),
        ({"dimensions": [{"key": "bread"}], "intents": ["review"]}, "`intents` to list at least two names"),
        ({"dimensions": [{"key": "bread"}], "intents": ["review", ""]}, "`intents` to list at least two names"),
        ({"dimensions": [{"key": "bread"}], "intents": ["review", "review"]}, "distinct names in `intents`"),
    ],
)
def test_taxonomy_error_says_what_was_expected_and_found(data: Any, said: str) -> None:
    with pytest.raises(TaxonomyError) as caught:
        taxonomy_from_dict(data)
    assert said in str(caught.value)
    assert str(caught.value).startswith("expected") and "found" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"dimensions: [", "expected YAML in"),
        ("dimensions:\n  - {key: bread, zh: 面包}\n".encode("gb18030"), "expected UTF-8 in"),
        (b"", "non-empty list `dimensions`"),
    ],
)
def test_taxonomy_file_that_is_none_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(TaxonomyError, match=said) as caught:
        load_taxonomy(path)
    assert "\n" not in str(caught.value)


def test_taxonomy_unknown_key_lists_the_known_ones(own_taxonomy: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match=r"\(bread, counter, .*\), found 'seating'"):
        own_taxonomy["seating"]


def test_taxonomy_with_names_of_takes_names_and_keeps_the_order(own_taxonomy: Taxonomy) -> None:
    renamed = taxonomy_from_dict(
        {
            "dimensions": [{"key": key, "zh": key.upper(), "owner": "总部"} for key in reversed(own_taxonomy.keys)],
            "intents": ["a", "b"],
        }
    )
    both = own_taxonomy.with_names_of(renamed)
    assert both.keys == own_taxonomy.keys
    assert [(d.zh, d.owner) for d in both.dimensions] == [(key.upper(), "总部") for key in own_taxonomy.keys]
    assert (both.sentiments, both.overall, both.intents) == (
        own_taxonomy.sentiments, own_taxonomy.overall, own_taxonomy.intents,
    )  # fmt: skip


def test_taxonomy_with_names_of_refuses_other_keys(own_taxonomy: Taxonomy) -> None:
    other = taxonomy_from_dict({"dimensions": [{"key": key} for key in (*own_taxonomy.keys[1:], "cakes")]})
    with pytest.raises(TaxonomyError, match=r"missing \['bread'\] and unknown \['cakes'\]"):
        own_taxonomy.with_names_of(other)


def test_taxonomy_of_a_user_is_scored_with_the_same_code(
    own_checkpoint: Path, own_taxonomy: Taxonomy, own_examples: Callable[[int, int], list[Example]]
) -> None:
    analyzer = Analyzer.load(own_checkpoint)
    assert analyzer.taxonomy == own_taxonomy
    record = analyzer.analyze("河边7号：面包发酸，店员热情，要投诉。")
    found = {m.dimension: (m.sentiment, m.owner) for m in record.dimensions}
    assert found == {"bread": ("negative", "店长"), "counter": ("positive", "店长")}
    assert record.escalation is True and list(record.probabilities) == list(own_taxonomy.keys)
    negative, _, positive = record.probabilities["bread"]
    assert negative > 0.8 > 0.2 > positive
    right = cells = overall = 0
    fresh = own_examples(40, 5)
    for example, result in zip(fresh, analyzer.analyze_many([e.text for e in fresh]), strict=True):
        said = {m.dimension: m.sentiment for m in result.dimensions}
        gold = {key: label[0] for key, label in example.labels.items()}
        right += sum(said.get(key) == sentiment for key, sentiment in gold.items()) - len(set(said) - set(gold))
        cells += len(gold)
        overall += result.overall == example.overall
    assert right >= 0.9 * cells and overall >= 30


def test_taxonomy_alone_names_the_dimensions(taxonomy: Taxonomy) -> None:
    named = {*taxonomy.keys, *(f"cs_{key}" for key in taxonomy.keys)}
    found: dict[str, set[str]] = {}
    for package in ("sentiment", "serve", "training"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            if hits := {value for value in literals if isinstance(value, str)} & named:
                found[path.relative_to(ROOT).as_posix()] = hits
    assert found.pop(MAY_MAP) <= set(taxonomy.keys)
    assert found == MAY_NAME


def test_taxonomy_english_names_of_lens_values_go_along_and_decide_nothing(
    taxonomy: Taxonomy, own_taxonomy: Taxonomy
) -> None:
    chinese = {v for d in taxonomy.dimensions for v in (d.group, d.owner)}
    assert chinese <= set(taxonomy.names) and all(name.isascii() for name in taxonomy.names.values())
    assert taxonomy == taxonomy_from_dict(taxonomy.to_dict())
    assert taxonomy_from_dict(taxonomy.to_dict()).with_names_of(taxonomy).names == taxonomy.names
    assert not own_taxonomy.names
    with pytest.raises(TaxonomyError, match="`names`"):
        taxonomy_from_dict(taxonomy.to_dict() | {"names": ["工程"]})
