"""Other programs' answers to texts, from an environment of their own: JSON lines in, JSON lines out.

`python benchmarks/peers/runner.py PEER [--versions | --seconds]` reads `{"text": …}` from standard input and writes one
line a text, in order: `{"score": number}`, higher is more positive, or null where the peer failed on that text. SetFit
learns first: lines that also have a `label` are its training texts, and it answers the others with `{"label": …}`. With
`--versions` it answers with the installed versions alone; with `--seconds` (SnowNLP, cnsenti) with one line
`{"texts": …, "seconds": …}`: how long the texts took once a first one had brought the peer up.

This file imports nothing of cinesent, and cinesent imports nothing that this file needs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

PACKAGES = {
    "snownlp": ("snownlp",),
    "cnsenti": ("cnsenti", "jieba"),
    "setfit": ("setfit", "sentence-transformers", "transformers", "torch", "scikit-learn"),
}


def snownlp(texts: Iterable[str]) -> Iterator[float | None]:
    """SnowNLP's packaged sentiment model: the probability of "positive"."""
    from snownlp import SnowNLP

    for text in texts:
        try:
            yield float(SnowNLP(text).sentiments)
        except (ZeroDivisionError, OverflowError):  # no word left of a text of symbols
            yield None


def cnsenti(texts: Iterable[str]) -> Iterator[float | None]:
    """cnsenti with its HowNet dictionary, degree adverbs and negation: positive less negative score.

    As installed: its dictionaries are lists, each searched from the start for every word, and what is timed is that.
    """
    import jieba
    from cnsenti import Sentiment

    jieba.setLogLevel(logging.WARNING)
    judge = Sentiment()
    for text in texts:
        found = judge.sentiment_calculate(text)
        yield float(found["pos"] - found["neg"])


def setfit(training: Sequence[tuple[str, str]], texts: Sequence[str], options: argparse.Namespace) -> list[str]:
    """SetFit (Tunstall et al. 2022): the encoder fitted to pairs of the training texts, then a logistic regression.

    The encoder is a folder that `AutoModel` and `AutoTokenizer` read, its tokens' mean pooled: with that it is a
    sentence-transformers model.
    """
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    import torch
    import transformers
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    transformers.set_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    encoder = Transformer(str(options.base), max_seq_length=options.max_tokens)
    width = encoder.auto_model.config.hidden_size
    body = SentenceTransformer(modules=[encoder, Pooling(width, pooling_mode="mean")], device="cpu")
    names = sorted({label for _, label in training})
    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=1000), labels=names)
    rows = random.Random(options.seed).sample(training, len(training))
    data = Dataset.from_dict({"text": [text for text, _ in rows], "label": [names.index(label) for _, label in rows]})
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            batch_size=options.batch_size,
            max_steps=options.steps,
            body_learning_rate=options.learning_rate,
            max_length=options.max_tokens,
            save_strategy="no",
            report_to="none",
            show_progress_bar=False,
            seed=options.seed,
        )
        Trainer(model=model, args=arguments, train_dataset=data).train()
    return [str(label) for label in model.predict(list(texts), as_numpy=True, show_progress_bar=False)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers the texts of standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PACKAGES)
    parser.add_argument("--versions", action="store_true", help="say what is installed, and end")
    parser.add_argument("--seconds", action="store_true", help="say how long the texts took, not what they got")
    parser.add_argument("--base", type=Path, metavar="DIR", help="setfit: the encoder's folder")
    parser.add_argument("--steps", type=int, default=500, metavar="N", help="setfit: steps of fitting the encoder")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="setfit: pairs a step")
    parser.add_argument("--learning-rate", type=float, default=2e-5, metavar="R", help="setfit: of the encoder")
    parser.add_argument(
        "--max-tokens", type=int, default=128, metavar="N", help="setfit: tokens of a text that it reads"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="setfit: CPU threads")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args(arguments)
    if options.seconds and options.peer == "setfit":
        parser.error("expected --seconds beside snownlp or cnsenti, found setfit")
    # Answers leave by the true standard output; whatever a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")

    def write(entry: dict[str, Any]) -> None:
        answers.write(json.dumps(entry, ensure_ascii=False) + "\n")

    with answers:
        try:
            if options.versions:
                write({name: importlib.metadata.version(name) for name in PACKAGES[options.peer]})
                return 0
            rows = [json.loads(line) for line in sys.stdin.buffer]
            texts = [row["text"] for row in rows if "label" not in row]
            if options.peer == "setfit":
                training = [(row["text"], row["label"]) for row in rows if "label" in row]
                for label in setfit(training, texts, options):
                    write({"label": label})
                return 0
            peer = {"snownlp": snownlp, "cnsenti": cnsenti}[options.peer]
            if options.seconds:
                found = peer(chain(["影院不错"], texts))
                next(found)
                started = time.perf_counter()
                write({"texts": sum(1 for _ in found), "seconds": time.perf_counter() - started})
                return 0
            for score in peer(texts):
                write({"score": score})
        except ImportError as error:  # PackageNotFoundError is one
            missing = error.name or str(error)
            print(f"expected {options.peer} in this environment, found no {missing}", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
