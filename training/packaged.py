"""A packaged checkpoint back as a PyTorch model: what a training starts from, and what a warm start reads."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from sentiment.checkpoint import CheckpointError, load_checkpoint
from training.model import CinesentConfig, CinesentModel
from training.quantise import read_back


def load_packaged(folder: Path) -> tuple[CinesentModel, PreTrainedTokenizerFast]:
    """A packaged checkpoint as a PyTorch model with its tokeniser: the base `embedded`, or any other for a warm start.

    Raises:
        CheckpointError: no usable checkpoint, one of several trainings, or one whose graph lacks weights of the model.
    """
    checkpoint = load_checkpoint(folder)
    members = checkpoint.config.get("members", 1)
    if members > 1:
        raise CheckpointError(
            f"expected a checkpoint of one training to start from, found one of {members} in {folder}; start from one "
            "of the runs that it was made of"
        )
    scaling = checkpoint.scaling.to_config()
    model = CinesentModel(
        CinesentConfig(
            encoder=checkpoint.config["encoder"],
            taxonomy=checkpoint.taxonomy.to_dict(),
            max_tokens=checkpoint.max_tokens,
            thresholds=checkpoint.thresholds,
            uncertain=checkpoint.uncertain,
            temperatures=scaling["temperatures"],
            factors=scaling["factors"],
            biases=scaling["biases"],
        )
    )
    state = {name: value for name, value in read_back(folder).items() if name in model.state_dict()}
    missing, _ = model.load_state_dict(state, strict=False)
    # The exporter leaves out a head that nothing reads, biases that are zero and norms equal to others because nobody
    # trained them: these stay as initialised.
    lost = [name for name in missing if not name.startswith("rating.") and model.get_parameter(name).ndim > 1]
    if lost:
        raise CheckpointError(
            f"expected all weights in {folder / 'model.onnx'}, found none of {lost[0]}; export it again"
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        model_max_length=checkpoint.max_tokens,
        **checkpoint.config["special_tokens"],
    )
    return model, tokenizer
