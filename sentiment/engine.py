"""The inference session: token windows in, logits out, in length-sorted batches under a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sentiment.checkpoint import Checkpoint, CheckpointError
from sentiment.cpus import usable_cpus
from sentiment.runtimes import choose_runtime, open_runtime

Floats = NDArray[np.float32]

# Padded tokens a batch: enough to keep the matrix units busy, small enough for its activations to stay in cache.
TOKEN_BUDGET = 2048
# Most padding of a batch, in tokens: a few times what one more run costs, so that batches fill and carry little of it.
PADDING = 48
# Peak activation memory of one padded token, measured with windows of full length; generous.
BYTES_PER_TOKEN = 64_000
OUTPUTS = ("mention", "polarity", "overall", "intent", "escalation", "evidence")


@dataclass(frozen=True, slots=True)
class Logits:
    """The model's answer to one window of T tokens over K dimensions.

    mention [K], polarity [K, 3], overall [3], intent [intents], escalation [] and evidence [T, K], the log attention of
    each dimension over the window's own tokens (special ones left out).
    """

    mention: Floats
    polarity: Floats
    overall: Floats
    intent: Floats
    escalation: Floats
    evidence: Floats


class Engine:
    """A runtime with the checkpoint's graph, and its tokeniser. Safe to use from several threads."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        threads: int | None = None,
        batch_size: int | None = None,
        max_memory: int | None = None,
        runtime: str | None = "onnxruntime",
    ) -> None:
        """Loads the graph.

        Args:
            threads: CPU threads of one inference call; by default one for each core that this process may use.
            batch_size: most windows in a batch; by default only the token budget bounds it.
            max_memory: MB that the activations of a batch may take; lowers the token budget.
            runtime: as `choose_runtime` takes it; what trains and measures checkpoints does so in float32 everywhere.

        Raises:
            CheckpointError: the graph or the tokeniser cannot be used. RuntimeChoiceError: the runtime is not there.
        """
        for name, value in (("threads", threads), ("batch_size", batch_size), ("max_memory", max_memory)):
            if value is not None and value < 1:
                raise ValueError(f"expected {name} of at least 1, found {value}")
        self.runtime = choose_runtime(runtime, checkpoint.folder)
        self._session = open_runtime(self.runtime, checkpoint.folder / "model.onnx", threads or usable_cpus())
        self._padding = PADDING
        self.tokenizer = Tokenizer.from_file(str(checkpoint.folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self._prefix, self._suffix = _special_tokens(self.tokenizer)
        self._pad = int(checkpoint.config.get("pad_token_id") or 0)
        self._max_tokens = checkpoint.max_tokens
        self.window = self._max_tokens - len(self._prefix) - len(self._suffix)
        budget = TOKEN_BUDGET if max_memory is None else min(TOKEN_BUDGET, max_memory * 1_000_000 // BYTES_PER_TOKEN)
        self._budget = max(budget, checkpoint.max_tokens)
        self._batch_size = batch_size

    def run(self, windows: Sequence[Sequence[int]]) -> list[Logits]:
        """Runs windows of token ids, without special tokens, at most `self.window` each; answers keep their order."""
        answers: list[Logits | None] = [None] * len(windows)
        order = sorted(range(len(windows)), key=lambda i: (len(windows[i]), i))
        for batch in self._batches(order, windows):
            outputs = self._infer([windows[i] for i in batch])
            for row, i in enumerate(batch):
                first, length = len(self._prefix), len(windows[i])
                mention, polarity, overall, intent, escalation = (output[row] for output in outputs[:-1])
                evidence = outputs[-1][row, first : first + length]
                answers[i] = Logits(mention, polarity, overall, intent, escalation, evidence)
        return [answer for answer in answers if answer is not None]

    def _length(self, window: Sequence[int]) -> int:
        """Tokens of the window's row, with special ones."""
        return len(self._prefix) + len(window) + len(self._suffix)

    def _batches(self, order: Sequence[int], windows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        batch: list[int] = []
        tokens = 0  # of the batch's rows, without padding
        for i in order:  # ascending lengths, so the newest is the longest
            length = self._length(windows[i])
            full = self._batch_size is not None and len(batch) >= self._batch_size
            padding = len(batch) * length - tokens
            if batch and (full or padding > self._padding or (len(batch) + 1) * length > self._budget):
                yield batch
                batch, tokens = [], 0
            batch.append(i)
            tokens += length
        if batch:
            yield batch

    def _infer(self, windows: Sequence[Sequence[int]]) -> list[Floats]:
        shape = len(windows), max(map(self._length, windows))
        ids, mask = np.full(shape, self._pad, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, window in enumerate(windows):
            sequence = [*self._prefix, *window, *self._suffix]
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        return self._session.run(OUTPUTS, {"input_ids": ids, "attention_mask": mask})


def _special_tokens(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that the tokeniser puts before and after a text."""
    bare = tokenizer.encode("好", add_special_tokens=False).ids
    full = tokenizer.encode("好").ids
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    raise CheckpointError("expected a tokenizer.json that adds special tokens around a text, found one that changes it")
