from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModel, ElectraConfig, ElectraModel, RobertaConfig, RobertaModel

from sentiment.engine import OUTPUTS
from sentiment.taxonomy import Taxonomy, taxonomy_from_dict
from training.losses import LOSS_WEIGHTS, losses
from training.metrics import UNKNOWN
from training.model import (
    CinesentConfig,
    CinesentModel,
    CinesentOutput,
    build_model,
    with_taxonomy,
)
from training.onnx_graph import write_onnx

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LN2, LN3 = math.log(2), math.log(3)
U = UNKNOWN


def blank(size: int, keys: int = 2, tokens: int = 3) -> dict[str, torch.Tensor]:
    """Labels of which none is known."""
    return {
        "mention": torch.full((size, keys), U),
        "polarity": torch.full((size, keys), U),
        "evidence": torch.zeros(size, tokens, keys),
        "overall": torch.full((size,), U),
        "intent": torch.full((size,), U),
        "escalation": torch.full((size,), U),
        "rating": torch.full((size,), math.nan),
    }


def silent(size: int, keys: int = 2, tokens: int = 3) -> CinesentOutput:
    """Logits that are all 0, and even attention."""
    return CinesentOutput(
        mention=torch.zeros(size, keys),
        polarity=torch.zeros(size, keys, 3),
        overall=torch.zeros(size, 3),
        intent=torch.zeros(size, 4),
        escalation=torch.zeros(size),
        evidence=torch.full((size, tokens, keys), -math.log(tokens)),
        rating=torch.zeros(size),
    )


def parts(
    output: CinesentOutput, labels: dict[str, torch.Tensor], weights: torch.Tensor | None = None
) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in losses(output, labels, weights).items()}


def test_model_loss_without_labels_is_zero() -> None:
    assert parts(silent(2), blank(2)) == dict.fromkeys(LOSS_WEIGHTS, 0.0)


def test_model_mention_loss_by_hand() -> None:
    output, labels = silent(2), blank(2)
    output.mention = torch.tensor([[LN3, 5.0], [-LN3, LN3]])
    labels["mention"] = torch.tensor([[1, U], [1, 0]])
    # −ln 3/4, unknown, −ln 1/4, −ln 1/4
    assert parts(output, labels)["mention"] == pytest.approx((math.log(4 / 3) + 2 * math.log(4)) / 3)
    weighted = parts(output, labels, torch.tensor([1.0, 0.5]))["mention"]
    assert weighted == pytest.approx((math.log(4 / 3) + 0.5 * 2 * math.log(4)) / 2)


def test_model_polarity_loss_by_hand() -> None:
    output, labels = silent(2), blank(2)
    output.polarity = torch.tensor([[[LN2, 0, 0], [9, 0, 0]], [[0, 0, 0], [0, 0, LN3]]])
    labels["polarity"] = torch.tensor([[0, U], [1, 2]])
    # 2/4, unknown, 1/3, 3/5
    expected = (LN2 + LN3 + math.log(5 / 3)) / 3
    assert parts(output, labels)["polarity"] == pytest.approx(expected)
    weighted = parts(output, labels, torch.tensor([2.0, 1.0]))["polarity"]
    assert weighted == pytest.approx((2 * LN2 + LN3 + math.log(5 / 3)) / 4)


def test_model_evidence_loss_by_hand() -> None:
    output, labels = silent(2), blank(2)
    output.evidence = torch.log(torch.tensor([[[0.5, 1.0], [0.25, 1e-30], [0.25, 1e-30]]] * 2))
    labels["evidence"][0, :2, 0] = 1  # attention 1/2 and 1/4
    labels["evidence"][1, 1, 1] = 1  # attention next to nothing: 30 at most
    labels["mention"][:] = 1
    assert parts(output, labels)["evidence"] == pytest.approx(((LN2 + math.log(4)) / 2 + 30) / 2)
    assert parts(output, labels, torch.tensor([1.0, 0.0]))["evidence"] == pytest.approx((LN2 + math.log(4)) / 2)


def test_model_losses_of_the_whole_text_by_hand() -> None:
    output, labels = silent(3), blank(3)
    output.overall = torch.tensor([[LN2, 0, 0], [0, 0, 7.0], [0, 0, 0]])
    labels["overall"] = torch.tensor([0, U, 2])
    output.intent = torch.tensor([[0, 0, 0, LN2 + LN3], [0, 0, 0, 0], [9, 0, 0, 0.0]])
    labels["intent"] = torch.tensor([3, 1, U])
    output.escalation = torch.tensor([LN3, LN3, 8.0])
    labels["escalation"] = torch.tensor([1, 0, U])
    output.rating = torch.tensor([4.5, 1.0, 2.0])
    labels["rating"] = torch.tensor([5.0, 4.0, math.nan])
    found = parts(output, labels)
    assert found["overall"] == pytest.approx((LN2 + LN3) / 2)
    assert found["intent"] == pytest.approx((math.log(9 / 6) + math.log(4)) / 2)
    assert found["escalation"] == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    # smooth L1: 0.5²/2, and 3 − 1/2
    assert found["rating"] == pytest.approx((0.125 + 2.5) / 2)
    weighted = parts(output, labels, torch.tensor([3.0, 1.0, 2.0]))
    assert weighted["overall"] == pytest.approx((3 * LN2 + 2 * LN3) / 5)
    assert weighted["rating"] == pytest.approx((3 * 0.125 + 2.5) / 4)


def test_model_unknown_cells_give_no_loss_and_no_gradient() -> None:
    labels = blank(2)
    labels["mention"][0, 0], labels["polarity"][0, 0] = 1, 2
    labels["overall"][0], labels["intent"][0], labels["escalation"][0], labels["rating"][0] = 1, 2, 0, 3.0
    labels["evidence"][0, 1, 0] = 1
    generator = torch.Generator().manual_seed(0)
    output = CinesentOutput(
        **{name: torch.randn(value.shape, generator=generator).requires_grad_() for name, value in silent(2).items()}
    )
    before = losses(output, labels, None)
    torch.stack(list(before.values())).sum().backward()
    for name in before:
        known, gradient = torch.zeros_like(output[name], dtype=torch.bool), output[name].grad
        if name in ("mention", "polarity"):
            known[0, 0] = True
        elif name == "evidence":
            known[0, 1, 0] = True
        else:
            known[0] = True
        assert gradient[known].abs().min() > 0, name
        assert gradient[~known].abs().sum() == 0, name
        with torch.no_grad():
            output[name][~known] += 3.0
    assert parts(output, labels) == {name: float(value.detach()) for name, value in before.items()}


def test_model_loss_is_the_weighted_sum_of_its_parts(
    make_encoder: Callable[..., PreTrainedModel], wordpiece: PreTrainedTokenizerFast, own_taxonomy: Taxonomy
) -> None:
    model = build_model(make_encoder(wordpiece), own_taxonomy).eval()
    batch = wordpiece(["面包很香", "排队很久，要投诉"], padding=True, return_tensors="pt", return_token_type_ids=False)
    labels = blank(2, 5, batch["input_ids"].shape[1])
    labels["mention"][:, 0], labels["polarity"][0, 0] = torch.tensor([1, 0]), 2
    labels["overall"][:], labels["escalation"][1], labels["rating"][0] = 1, 1, 4.0
    labels["evidence"][0, 1:3, 0] = 1
    weights = torch.tensor([1.0, 0.3])
    output = model(**batch, **{f"{name}_labels": value for name, value in labels.items()}, weights=weights)
    expected = sum(LOSS_WEIGHTS[name] * value for name, value in parts(output, labels, weights).items())
    assert float(output.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert model(**batch).loss is None


def test_model_output_has_the_documented_shapes_and_masks_padding(
    make_encoder: Callable[..., PreTrainedModel], wordpiece: PreTrainedTokenizerFast, own_taxonomy: Taxonomy
) -> None:
    model = build_model(make_encoder(wordpiece), own_taxonomy).eval()
    texts = ["面包很香", "排队很久，要投诉，请问价钱"]
    batch = wordpiece(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    output, size = model(**batch), batch["input_ids"].shape[1]
    shapes = {name: tuple(value.shape) for name, value in output.items()}
    assert shapes == {
        "mention": (2, 5), "polarity": (2, 5, 3), "overall": (2, 3), "intent": (2, 3), "escalation": (2,),
        "evidence": (2, size, 5), "rating": (2,),
    }  # fmt: skip
    attention = output.evidence.exp()
    assert torch.allclose(attention.sum(1), torch.ones(2, 5)) and attention[0, 6:].abs().max() == 0
    alone = model(**wordpiece(texts[:1], return_tensors="pt", return_token_type_ids=False))
    for name in ("mention", "polarity", "overall", "intent", "escalation", "rating"):
        assert torch.allclose(alone[name], output[name][:1], atol=1e-5), name


def test_model_build_keeps_the_encoders_weights(
    make_encoder: Callable[..., PreTrainedModel],
    wordpiece: PreTrainedTokenizerFast,
    own_taxonomy: Taxonomy,
    tmp_path: Path,
) -> None:
    make_encoder(wordpiece).save_pretrained(tmp_path / "base")
    for encoder in (make_encoder(wordpiece), AutoModel.from_pretrained(tmp_path / "base", add_pooling_layer=False)):
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        after = build_model(encoder, own_taxonomy).encoder.state_dict()
        assert set(before) == set(after)
        assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_model_automodel_loads_what_was_saved(own_run: Any) -> None:
    loaded = AutoModel.from_pretrained(own_run.folder).eval()
    assert type(loaded) is CinesentModel and loaded.config.label_space() == own_run.model.config.label_space()
    saved = own_run.model.state_dict()
    assert set(saved) == set(loaded.state_dict())
    assert all(torch.equal(value, saved[name]) for name, value in loaded.state_dict().items())
    batch = own_run.tokenizer(["面包很香，排队很久"], return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        first, second = own_run.model(**batch), loaded(**batch)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_model_config_keeps_rules_and_encoder(tmp_path: Path, own_taxonomy: Taxonomy) -> None:
    config = CinesentConfig(
        encoder={"model_type": "bert", "hidden_size": 32}, taxonomy=own_taxonomy.to_dict(), max_tokens=40,
        thresholds={"bread": 0.4}, temperatures={"mention": 1.5}, factors={"overall": 1.2},
        biases={"overall": [0.1, 0.0, -0.1]}, uncertain={"overall": 0.5}, dropout=0.2,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    again = CinesentConfig.from_pretrained(tmp_path)
    for name in (
        "encoder",
        "taxonomy",
        "max_tokens",
        "thresholds",
        "temperatures",
        "factors",
        "biases",
        "uncertain",
        "dropout",
    ):
        assert getattr(again, name) == getattr(config, name)


def test_model_first_layers_are_kept(
    make_encoder: Callable[..., PreTrainedModel],
    wordpiece: PreTrainedTokenizerFast,
    own_taxonomy: Taxonomy,
    tmp_path: Path,
) -> None:
    encoder = make_encoder(wordpiece, num_hidden_layers=3)
    first = encoder.encoder.layer[0].attention.self.query.weight.clone()
    model = build_model(encoder, own_taxonomy, layers=1)
    assert len(model.encoder.encoder.layer) == 1 and model.config.encoder["num_hidden_layers"] == 1
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert len(loaded.encoder.encoder.layer) == 1
    assert torch.equal(loaded.encoder.encoder.layer[0].attention.self.query.weight, first)
    for layers in (0, 4):
        with pytest.raises(ValueError, match=f"expected --layers between 1 and 3 for this base, found {layers}"):
            build_model(make_encoder(wordpiece, num_hidden_layers=3), own_taxonomy, layers=layers)


def test_model_max_tokens_fit_the_encoders_positions(
    make_encoder: Callable[..., PreTrainedModel], wordpiece: PreTrainedTokenizerFast, own_taxonomy: Taxonomy
) -> None:
    for wanted, found in ((40, 40), (256, 64)):
        assert build_model(make_encoder(wordpiece), own_taxonomy, max_tokens=wanted).config.max_tokens == found


def test_model_mention_prior_is_the_log_odds(
    make_encoder: Callable[..., PreTrainedModel], wordpiece: PreTrainedTokenizerFast, own_taxonomy: Taxonomy
) -> None:
    model = build_model(make_encoder(wordpiece), own_taxonomy)
    model.set_mention_prior(torch.tensor([0.5, 0.25, 0.0, 1.0, 0.75]))
    expected = [0.0, -LN3, math.log(1e-3 / 0.999), math.log(9), LN3]
    assert model.mention_bias.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_model_heads_are_told_from_the_encoder(
    make_encoder: Callable[..., PreTrainedModel], wordpiece: PreTrainedTokenizerFast, own_taxonomy: Taxonomy
) -> None:
    model = build_model(make_encoder(wordpiece), own_taxonomy)
    heads = {id(p) for p in model.head_parameters()}
    assert heads.isdisjoint(map(id, model.encoder.parameters()))
    assert len(heads) + len(list(model.encoder.parameters())) == len(list(model.parameters()))


def encoders(vocabulary: int, pad: int) -> dict[str, Callable[[], PreTrainedModel]]:
    sizes = {
        "vocab_size": vocabulary, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40,
        "max_position_embeddings": 66, "pad_token_id": pad,
    }  # fmt: skip
    return {
        "roberta": lambda: RobertaModel(RobertaConfig(hidden_size=24, **sizes)),
        "electra": lambda: ElectraModel(ElectraConfig(hidden_size=48, embedding_size=16, **sizes)),
    }


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_model_other_encoders_train_save_and_export(
    kind: str,
    make_encoder: Callable[..., PreTrainedModel],
    wordpiece: PreTrainedTokenizerFast,
    own_taxonomy: Taxonomy,
    own_examples: Callable[[int, int], list[Any]],
    tmp_path: Path,
) -> None:
    from training.dataset import Collator, encode

    torch.manual_seed(0)
    if kind == "bert":
        encoder = make_encoder(wordpiece, hidden_size=24, num_attention_heads=3)
    else:
        encoder = encoders(len(wordpiece), wordpiece.pad_token_id)[kind]()
    model = build_model(encoder, own_taxonomy)
    rows = list(encode(own_examples(8, 0), wordpiece, own_taxonomy, model.config.max_tokens))
    batch = Collator(wordpiece.pad_token_id)(rows)
    optimizer, seen = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(3):
        seen.append(model(**batch).loss)
        optimizer.zero_grad()
        seen[-1].backward()
        optimizer.step()
    assert seen[2] < seen[0]
    model.eval().save_pretrained(tmp_path / "run")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        expected = model(**inputs)
        again = AutoModel.from_pretrained(tmp_path / "run").eval()(**inputs)
    assert all(torch.allclose(expected[name], again[name]) for name in expected)
    write_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    answers = session.run(list(OUTPUTS), {name: value.numpy() for name, value in inputs.items()})
    for name, answer in zip(OUTPUTS, answers, strict=True):
        wanted = expected[name].numpy()
        if name == "evidence":  # padding's log attention is −1e4, give or take
            answer, wanted = np.maximum(answer, -50), np.maximum(wanted, -50)
        np.testing.assert_allclose(answer, wanted, atol=2e-4, err_msg=name)


def test_model_other_taxonomy_keeps_the_heads_of_shared_dimensions(own_run: Any) -> None:
    """Keys dropped, added and moved; sentiments in another order; the same intents."""
    old = own_run.model.config.label_space()
    space = taxonomy_from_dict(
        {
            "dimensions": [{"key": key} for key in ("queue", "cakes", "bread")],
            "sentiments": ["positive", "negative", "neutral"],
            "overall": ["positive", "neutral", "negative"],
            "intents": list(old.intents),
        }
    )
    assert with_taxonomy(own_run.model, old) is own_run.model
    model = with_taxonomy(own_run.model, space).eval()
    assert model.config.label_space() == space and model.config.max_tokens == own_run.model.config.max_tokens
    batch = own_run.tokenizer(
        ["面包发酸，排队很久", "不用排队"], padding=True, return_tensors="pt", return_token_type_ids=False
    )
    with torch.no_grad():
        before, after = own_run.model(**batch), model(**batch)
    for key in ("queue", "bread"):
        i, j = old.index[key], space.index[key]
        assert torch.allclose(before.mention[:, i], after.mention[:, j], atol=1e-5)
        assert torch.allclose(before.evidence[:, :, i], after.evidence[:, :, j], atol=1e-5)
        for name in space.sentiments:
            a, b = before.polarity[:, i, old.sentiments.index(name)], after.polarity[:, j, space.sentiments.index(name)]
            assert torch.allclose(a, b, atol=1e-5)
    for name in space.overall:
        a, b = before.overall[:, old.overall.index(name)], after.overall[:, space.overall.index(name)]
        assert torch.allclose(a, b, atol=1e-5)
    for head in ("intent", "escalation", "rating"):
        assert torch.allclose(before[head], after[head], atol=1e-5)


def test_model_other_intents_get_a_new_head(own_run: Any, taxonomy: Taxonomy) -> None:
    model = with_taxonomy(own_run.model, taxonomy).eval()
    batch = own_run.tokenizer(["面包发酸"], return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        output = model(**batch)
    assert output.intent.shape == (1, 4) and output.mention.shape == (1, 18)
    assert torch.equal(model.encoder.state_dict()["embeddings.word_embeddings.weight"],
                       own_run.model.encoder.state_dict()["embeddings.word_embeddings.weight"])  # fmt: skip
