"""What `benchmarks.speed` sets beside ours: BERT-base as people run it, a linear baseline, and programs of others.

The BERT has random weights, which do for speed, and a Chinese vocabulary of the usual size; nothing is fetched.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    pipeline,
)

from benchmarks.machine import tokenising_as_before
from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from training.example import Example
from training.linear import Setting, by_dimension, characters, fit_logistic
from training.metrics import UNKNOWN
from training.scores import gold_labels

VOCABULARY = 21_128  # pieces of bert-base-chinese
POSITIONS = 512
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ASCII = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
SIGNS = "，。！？；：、（）《》“”‘’…—～·￥【】"


@dataclass(frozen=True)
class Size:
    """Of a BERT; by default BERT-base."""

    layers: int = 12
    hidden: int = 768
    heads: int = 12
    inner: int = 3072


def vocabulary() -> list[str]:
    """Pieces of one character each, padded to the usual number: special ones, ASCII, signs, and then Han."""
    letters = [piece for piece in ASCII if piece.isalnum()]
    pieces = [*SPECIAL, *ASCII, *(f"##{piece}" for piece in letters), *SIGNS]
    pieces += [chr(code) for code in range(0x4E00, 0x4E00 + VOCABULARY - len(pieces)) if code <= 0x9FFF]
    return pieces + [f"[unused{i}]" for i in range(VOCABULARY - len(pieces))]


def write_bert(folder: Path, size: Size) -> None:
    """Writes a random classifier of three classes with its tokeniser, and under `int8` its ONNX form.

    int8 is ONNX Runtime's plain dynamic quantisation, which takes its scales from the batch. A folder that holds the
    same already is left as it is.
    """
    mark = folder / "size.json"
    wanted = json.dumps(asdict(size))
    if mark.is_file() and mark.read_text("utf-8") == wanted:
        return
    torch.manual_seed(0)
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary())}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=size.hidden, num_hidden_layers=size.layers, num_attention_heads=size.heads,
        intermediate_size=size.inner, max_position_embeddings=POSITIONS,
    )  # fmt: skip
    config.num_labels = 3
    model = BertForSequenceClassification(config).eval()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    _write_int8(model, folder / "int8.onnx")
    mark.write_text(wanted, "utf-8")


def _write_int8(model: BertForSequenceClassification, path: Path) -> None:
    exact = path.with_name("float32.onnx")
    ids = torch.ones(3, 11, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=POSITIONS)}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), str(exact), input_names=names,
            output_names=["logits"], dynamic_shapes=(axes, axes, axes), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    quantize_dynamic(str(exact), str(path), weight_type=QuantType.QInt8)
    exact.unlink()


class Pipeline:
    """The `text-classification` pipeline of transformers, as its documentation shows it."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._threads = threads
        self._classify: Any = pipeline("text-classification", model=str(folder), device="cpu")

    def seconds(self, texts: Sequence[str], batch_size: int) -> float:
        return self._timed(list(texts), batch_size)

    def seconds_by_aspect(self, texts: Sequence[str], prompts: Sequence[str], batch_size: int) -> float:
        """One pass for each prompt, which goes before the text as the first of a pair."""
        return self._timed([{"text": prompt, "text_pair": text} for text in texts for prompt in prompts], batch_size)

    def _timed(self, inputs: list[Any], batch_size: int) -> float:
        torch.set_num_threads(self._threads)
        with tokenising_as_before():
            started = time.perf_counter()
            answers = self._classify(inputs, batch_size=batch_size, truncation=True)
            taken = time.perf_counter() - started
        if len(answers) != len(inputs):
            raise RuntimeError(f"expected {len(inputs)} answers of the pipeline, found {len(answers)}")
        return taken


class Int8Bert:
    """The same model in int8 on ONNX Runtime, in batches as they come."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "int8.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)

    def logits(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """[N, 3]."""
        found = []
        for start in range(0, len(texts), batch_size):
            inputs = self._tokenizer(
                list(texts[start : start + batch_size]), padding=True, truncation=True, return_tensors="np"
            )
            found += self._session.run(["logits"], {key: value.astype(np.int64) for key, value in inputs.items()})
        return np.concatenate(found)

    def seconds(self, texts: Sequence[str], batch_size: int) -> float:
        started = time.perf_counter()
        self.logits(texts, batch_size).argmax(-1)
        return time.perf_counter() - started


class Linear:
    """TF-IDF of characters and logistic regressions for all heads (`training.linear`), fitted once, asked often.

    The strength of regularisation is the default and not chosen by cross-validation: it does not change the rate.
    """

    def __init__(self, examples: Sequence[Example], taxonomy: Taxonomy) -> None:
        self._vectoriser = characters()
        known = self._vectoriser.fit_transform([normalise(example.text).text for example in examples])
        gold, count, width = gold_labels(examples, taxonomy), len(taxonomy.keys), known.shape[1]
        fits: list[tuple[NDArray[Any], Any]] = []

        def fit(labels: NDArray[Any], positive: int) -> None:
            rows = np.flatnonzero(labels != UNKNOWN)
            fits.append(fit_logistic(known[rows], labels[rows] == positive, Setting()))

        for k in range(count):
            fit(gold.mention[:, k], 1)
        rows, dimensions = np.nonzero(gold.polarity != UNKNOWN)
        mentions, said = by_dimension(known[rows], dimensions, count), gold.polarity[rows, dimensions]
        for c in range(3):
            weights, bias = fit_logistic(mentions, said == c, Setting())
            shared, own, named = np.split(weights, [width, width * (count + 1)])
            fits += [(shared + own[width * k : width * (k + 1)], bias + named[k]) for k in range(count)]
        for labels, classes in ((gold.overall, len(taxonomy.overall)), (gold.intent, len(taxonomy.intents))):
            for c in range(classes):
                fit(labels, c)
        fit(gold.escalation, 1)
        self._weights = np.stack([weights for weights, _ in fits], 1)
        self._biases = np.array([bias for _, bias in fits])
        self.features = width

    def logits(self, texts: Sequence[str]) -> NDArray[Any]:
        """[N, heads]: mentions, polarity by class and dimension, overall, intent, escalation."""
        found = self._vectoriser.transform([normalise(text).text for text in texts])
        return np.asarray(found @ self._weights + self._biases)

    def seconds(self, texts: Sequence[str]) -> float:
        started = time.perf_counter()
        self.logits(texts)
        return time.perf_counter() - started
