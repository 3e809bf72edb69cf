"""Masked-word pretraining on a tiny encoder: what is masked together, what is left out, what is written."""

from __future__ import annotations

import json
import lzma
from itertools import pairwise
from pathlib import Path

import jieba
import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel, GPT2Config, GPT2Model, PreTrainedTokenizerFast

from training.bases import BaseError, load_base
from training.corpora import HELD_OUT_FILES, in_held_out_rows
from training.example import DatasetError
from training.pretrain import (
    MaskedTrainer,
    PretrainRecipe,
    WordMasking,
    corpus_texts,
    encode_words,
    gather,
    main,
    pretrain,
    with_mask_head,
)

PHRASES = (
    "座椅太硬，坐得腰疼", "空调开得太冷，冻得发抖", "音响震撼，画面清晰", "前台小姐姐很热情",
    "排队检票等了二十分钟", "爆米花又贵又不脆", "停车免费两小时，很方便", "厕所味道很大，地上都是水",
    "旁边的人一直打电话，没人管", "退票要扣一半手续费", "会员卡余额突然没了", "剧情拖沓，看得想睡",
    "票价比隔壁贵一倍", "离地铁口走路五分钟", "取票机是坏的，耽误了开场", "希望增加晚上的场次",
)  # fmt: skip
RECIPE = PretrainRecipe(tokens=3000, per_corpus=1.0, batch_size=8, max_tokens=32, save_steps=2)


@pytest.fixture
def encoder(tiny_tokenizer: PreTrainedTokenizerFast) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=tiny_tokenizer.pad_token_id,
    )  # fmt: skip
    return BertModel(config)


def test_encode_words_joins_the_tokens_of_a_jieba_word(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    text = "前台小姐姐很热情"
    (row,) = encode_words([text], tiny_tokenizer, 32)
    found = tiny_tokenizer(text, return_offsets_mapping=True)
    assert row["input_ids"] == found["input_ids"]
    word_of = [number for number, word in enumerate(jieba.cut(text, HMM=False)) for _ in word]
    pairs = list(zip(found["offset_mapping"], row["offset_mapping"], strict=True))
    for (before, place_before), (after, place_after) in pairwise(pairs):
        if before[0] < before[1] and after[0] < after[1]:
            touching = place_before[1] == place_after[0]
            assert touching == (word_of[before[0]] == word_of[after[0]])


def test_word_masking_masks_whole_words_and_nothing_special(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = 20 * list(encode_words(PHRASES, tiny_tokenizer, 32))  # so many words that their share is near the wanted one
    batch = WordMasking(tiny_tokenizer, 0.4, seed=3)(rows)
    chosen = batch["labels"] != -100
    special = set(tiny_tokenizer.all_special_ids)
    maskable = sum(token not in special for row in rows for token in row["input_ids"])
    assert 0.3 < chosen.sum() / maskable < 0.5
    assert not (chosen & (batch["attention_mask"] == 0)).any()
    for i, row in enumerate(rows):
        for t, token in enumerate(row["input_ids"]):
            assert not (chosen[i, t] and token in special)
            if t and token not in special and row["offset_mapping"][t][0] == row["offset_mapping"][t - 1][1]:
                assert chosen[i, t] == chosen[i, t - 1]
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row["input_ids"]) for row in rows], batch_first=True, padding_value=tiny_tokenizer.pad_token_id
    )
    assert torch.equal(batch["labels"][chosen], ids[chosen])
    assert torch.equal(batch["input_ids"][~chosen], ids[~chosen])
    assert (batch["input_ids"][chosen] == tiny_tokenizer.mask_token_id).all()


def test_with_mask_head_keeps_the_encoder_and_ties_the_embeddings(encoder: BertModel) -> None:
    model = with_mask_head(encoder)
    output = model.get_output_embeddings()
    assert output is not None
    weight = model.get_input_embeddings().weight
    assert output.weight.data_ptr() == weight.data_ptr()
    assert torch.equal(weight, encoder.get_input_embeddings().weight)
    for name, value in model.bert.encoder.state_dict().items():
        assert torch.equal(value, encoder.encoder.state_dict()[name])


def test_masked_trainer_has_the_loss_of_all_tokens(encoder: BertModel, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    model = with_mask_head(encoder).eval()
    batch = WordMasking(tiny_tokenizer, 0.4, seed=3)(list(encode_words(PHRASES, tiny_tokenizer, 32)))
    whole = model(**batch).loss
    found = MaskedTrainer.compute_loss(None, model, dict(batch))
    assert found.item() == pytest.approx(whole.item(), rel=1e-4)


def test_with_mask_head_refuses_what_has_none() -> None:
    other = GPT2Model(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(BaseError, match="expected an encoder with a masked language model, found gpt2"):
        with_mask_head(other)


def test_gather_spends_its_budget_and_of_each_source_its_share(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    recipe = PretrainRecipe(tokens=100, per_corpus=0.5, max_tokens=32)
    first, second = PHRASES[:8], PHRASES[8:]
    data = gather([first, second], tiny_tokenizer, recipe)
    longest = max(data["length"])
    assert 100 <= sum(data["length"]) < 100 + 2 * longest
    alone = gather([first], tiny_tokenizer, recipe)
    assert 50 <= sum(alone["length"]) < 50 + longest
    with pytest.raises(DatasetError, match="expected texts to pretrain on, found none"):
        gather([[]], tiny_tokenizer, recipe)


def test_corpus_texts_leave_out_the_later_test_and_what_is_excluded(tmp_path: Path) -> None:
    for name in HELD_OUT_FILES:
        with lzma.open(tmp_path / f"{name}.jsonl.xz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": f"{name} {text}"}) + "\n" for text in PHRASES)
    excluded = next(t for t in PHRASES if not in_held_out_rows(f"{HELD_OUT_FILES[0]} {t}"))
    banned = f"{HELD_OUT_FILES[0]} {excluded}"
    parts = list(corpus_texts(tmp_path, [banned], 1, HELD_OUT_FILES))
    texts = [text for part in parts for text in part]
    assert len(parts) == len(HELD_OUT_FILES) and texts and len(texts) == len(set(texts))
    assert not any(in_held_out_rows(text) for text in texts) and banned not in texts
    with pytest.raises(DatasetError, match="expected the corpus file"):
        list(corpus_texts(tmp_path, [], 1))


def test_pretrain_learns_and_writes_an_encoder_that_auto_model_reads(
    tmp_path: Path, encoder: BertModel, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    data = gather([[f"{a}，{b}" for a in PHRASES[:8] for b in PHRASES[8:]]], tiny_tokenizer, RECIPE)
    loss = pretrain(encoder, tiny_tokenizer, data, tmp_path / "out", RECIPE)
    assert 0 < loss < 10
    read, tokenizer = load_base(str(tmp_path / "out"))
    assert isinstance(read, type(AutoModel.from_config(encoder.config)))
    assert tokenizer.get_vocab() == tiny_tokenizer.get_vocab()
    assert not torch.equal(read.get_input_embeddings().weight, before["embeddings.word_embeddings.weight"])
    assert list((tmp_path / "out" / "checkpoints").glob("checkpoint-*"))

    # Resumed, it takes the weights of its newest checkpoint and has no step left, whatever encoder it is given.
    torch.manual_seed(1)
    other = type(encoder)(encoder.config)
    assert pretrain(other, tiny_tokenizer, data, tmp_path / "out", RECIPE, resume=True) == pytest.approx(loss, abs=0.5)
    again, _ = load_base(str(tmp_path / "out"))
    for name, value in again.state_dict().items():
        if not name.startswith("pooler."):  # no loss reaches it
            torch.testing.assert_close(value, read.state_dict()[name], msg=name)


def test_pretrain_command(
    tmp_path: Path, encoder: BertModel, tiny_tokenizer: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    base, texts = tmp_path / "base", tmp_path / "texts.txt"
    encoder.save_pretrained(base)
    tiny_tokenizer.save_pretrained(base)
    texts.write_text("\n".join([*PHRASES, ""]) * 4, "utf-8")
    out = tmp_path / "out"
    assert main(["--base", str(base), "--layers", "1", "--texts", str(texts), "-o", str(out)]) == 0
    assert "nats a masked token" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text("utf-8"))["num_hidden_layers"] == 1
    assert main(["--base", str(base), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert error == (
        "training.pretrain: expected texts to pretrain on, found none; give --corpora DIR or --texts FILE\n"
    )
    fresh = tmp_path / "fresh"
    assert main(["--base", str(base), "--texts", str(texts), "-o", str(fresh), "--resume"]) == 2
    assert capsys.readouterr().err == (
        f"training.pretrain: expected saved steps in {fresh / 'checkpoints'} for --resume, found none; "
        "leave --resume out\n"
    )
    # A save that was cut off is not gone on from.
    (newest,) = (out / "checkpoints").glob("checkpoint-*")
    (newest / "trainer_state.json").write_text("{", "utf-8")
    assert main(["--base", str(base), "--layers", "1", "--texts", str(texts), "-o", str(out), "--resume"]) == 2
    assert "found none; leave --resume out" in capsys.readouterr().err
