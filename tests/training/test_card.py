"""The model card of a checkpoint."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from quality_facts import METRICS

from sentiment.taxonomy import Taxonomy
from training.card import BASE_MODEL, card_text, write_card
from training.quality_tables import (
    dimension_block,
    insert,
    quality_block,
)


@pytest.fixture
def config(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "name": "cinesent-zh",
        "max_tokens": 192,
        "encoder": {"num_hidden_layers": 8, "hidden_size": 384, "vocab_size": 24841},
        "training": {"recipe": {"epochs": 7, "learning_rate": 2.5e-4}, "hours": 9.0},
        "taxonomy": taxonomy.to_dict(),
        "thresholds": {**dict.fromkeys(taxonomy.keys, 0.42), "escalation": 0.36},
        "temperatures": {"mention": 1.31},
        "uncertain": {"overall": 0.61},
    }


def header(text: str) -> dict[str, Any]:
    _, front, _ = text.split("---\n", 2)
    found = yaml.safe_load(front)
    assert isinstance(found, dict)
    return found


def test_card_tells_what_the_run_and_the_checkpoint_hold(
    config: dict[str, Any], results: list[dict[str, Any]], taxonomy: Taxonomy
) -> None:
    text = card_text(config, METRICS, results)
    front = header(text)
    assert front["language"] == ["zh"]
    assert front["license"] == "apache-2.0"
    assert front["base_model"] == BASE_MODEL == "intfloat/multilingual-e5-small"
    assert "aspect-based-sentiment-analysis" in front["tags"]
    for told in (
        "# cinesent-zh", "| `seating` | 座椅视野 | seating | 观影效果 |", "8 layers, 384 hidden units, 24,841 pieces",
        "5,200 fitted, 608 held out for early stopping", "film_maoyan 2,000, complaints 170",
        "epochs 7, learning rate 0.00025", "joint 0.810, overall 0.860", "1.5 hours on 2 cores", "seating 0.42",
        "escalation 0.36", "mention 1.31", "overall 0.61", "192 tokens", "## Limits", "## Biases", "@software{cinesent",
    ):  # fmt: skip
        assert told in text, told
    assert "weak" not in text
    assert insert(text, "quality", quality_block(results, detailed=True)) == text
    assert insert(text, "dimensions", dimension_block(results, taxonomy)) == text
    rare = next(line for line in text.splitlines() if line.startswith("- Fewer than 30 mentions"))
    assert "parking" in rare and "seating" not in rare  # 40 of it in one set


def test_card_tells_of_the_recipe_only_what_was_active(config: dict[str, Any]) -> None:
    recipe = {
        "epochs": 5, "patience": 99, "evaluations_per_epoch": 1, "augment": 0.0, "soft": 0.5, "keep": None,
        "weight_decay": 0.0, "warmup": 0.06, "seed": 0,
    }  # fmt: skip
    texts = {"fitted": 90, "held_out": 10, "weak": 0, "soft": 0}
    text = card_text(config, {"recipe": recipe, "texts": texts}, [])
    assert "- Recipe: AdamW, linear decay; epochs 5, evaluations per epoch 1, warmup 0.06, seed 0.\n" in text
    assert "- Texts: 90 fitted, 10 held out to choose the best step. " in text
    active = {"patience": 3, "augment": 0.2, "keep": 0.4, "weight_decay": 0.01}
    text = card_text(config, {"recipe": recipe | active, "texts": texts | {"soft": 30}}, [])
    for told in ("patience 3,", "augment 0.2, soft 0.5, keep 0.4, weight decay 0.01,", "10 held out for early stopping",
                 "30 of the fitted with soft labels"):  # fmt: skip
        assert told in text, told


def test_card_says_how_many_texts_name_no_source(config: dict[str, Any]) -> None:
    text = card_text(config, {"sources": {"unnamed": 31000, "film_maoyan": 5}}, [])
    assert "- Sources: texts that name no source 31,000, film_maoyan 5.\n" in text


def test_card_of_a_run_in_stages_tells_no_figure_on_its_held_out_part(config: dict[str, Any]) -> None:
    metrics = {"held_out": {"eval_joint": 0.987}, "texts": {"fitted": 90, "held_out": 10}}
    assert "joint 0.987" in card_text(config, metrics, [])
    for start in ({"warm_start": "run"}, {"stages": ["one", "two"]}):
        assert "0.987" not in card_text(config, {**metrics, "start": start}, [])


def test_card_of_a_run_that_left_no_record(config: dict[str, Any]) -> None:
    config["training"] = {}
    text = card_text(config, {}, [])
    assert "The run left no record of its data and recipe." in text
    assert "Not measured yet" in text
    assert "None" not in text and "{}" not in text


def test_card_of_another_trade_says_nothing_of_cinemas(config: dict[str, Any], own_taxonomy: Taxonomy) -> None:
    config |= {"taxonomy": own_taxonomy.to_dict(), "thresholds": dict.fromkeys(own_taxonomy.keys, 0.5)}
    text = card_text(config, {"start": {"base": "hfl/chinese-macbert-base"}}, [])
    bare = text.replace("cinema reviews}", "")  # the title of the software
    assert not any(word in bare for word in ("cinema", "影院", "film", "guest", "e5"))
    assert "`opening_hours`" in text and "whose licence holds for it" in text


def test_card_names_another_base_from_a_hub(config: dict[str, Any]) -> None:
    text = card_text(config, {"start": {"base": "hfl/chinese-macbert-base"}}, [])
    assert header(text)["base_model"] == "hfl/chinese-macbert-base"
    for local in ("embedded", "./models/mine", "/models/mine", "offline"):
        assert header(card_text(config, {"start": {"base": local}}, []))["base_model"] == BASE_MODEL


def test_write_card_writes_the_card_of_a_packaged_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_checkpoint / "config.json").read_text("utf-8"))
    before = copy.deepcopy(config)
    path = write_card(tmp_path, config, {})
    assert path == tmp_path / "README.md"
    assert path.read_text("utf-8") == card_text(config, {}, ())
    assert config == before
