"""The packaged checkpoint as a base: read back into PyTorch it is the model that it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sentiment.checkpoint import embedded_folder, load_checkpoint
from sentiment.engine import Engine
from training.calibrate import Calibration
from training.dataset import Collator, encode
from training.labelled_files import read_labelled
from training.metrics import HEADS, summary
from training.packaged import load_packaged
from training.scores import Scores, gold_labels, score_examples

DEV = Path(__file__).parent.parent.parent / "data" / "cinema" / "dev.jsonl"


def test_embedded_base_scores_as_the_packaged_checkpoint() -> None:
    checkpoint = load_checkpoint(embedded_folder())
    space = checkpoint.taxonomy
    examples = read_labelled([DEV], space)
    gold = gold_labels(examples, space)
    packaged = score_examples(checkpoint, Engine(checkpoint), examples)

    model, tokenizer = load_packaged(embedded_folder())
    model.eval()
    encoded = encode(examples, tokenizer, space, checkpoint.max_tokens)
    collate = Collator(int(tokenizer.pad_token_id or 0))
    order = np.argsort(np.array(encoded["length"]))
    logits: dict[str, list[np.ndarray]] = {name: [] for name in HEADS}
    with torch.no_grad():
        for start in range(0, len(order), 32):
            batch = collate([encoded[int(i)] for i in order[start : start + 32]])
            output = model(batch["input_ids"], batch["attention_mask"])
            for name in HEADS:
                logits[name].append(getattr(output, name).numpy())
    back = np.argsort(order)
    arrays = [np.concatenate(logits[name])[back] for name in HEADS]
    read_back = Scores(*arrays, evidence=packaged.evidence)

    rules = Calibration(checkpoint.scaling, checkpoint.thresholds, checkpoint.uncertain)
    before = summary(gold, rules.decide(packaged, space))
    after = summary(gold, rules.decide(read_back, space))
    for name in before:
        assert abs(before[name] - after[name]) <= 0.005, name
    # A text of several windows is cut here and joined there.
    whole = (np.array(encoded["length"]) < checkpoint.max_tokens) & ~packaged.unread
    assert whole.mean() > 0.9
    for name in HEADS:
        np.testing.assert_allclose(
            getattr(read_back, name)[whole], getattr(packaged, name)[whole], atol=0.01, err_msg=name
        )
