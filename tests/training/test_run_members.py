"""Several runs as one checkpoint: which go together, and what none of them may have seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from training.bases import BaseError
from training.export import Exported
from training.folders import load_run
from training.run import export_run
from training.seen import keep_seen, text_hash


def write(path: Path, *texts: str) -> Path:
    rows = ({"text": text, "overall": "negative"} for text in texts)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_export_of_runs_that_do_not_go_together_is_refused(tiny_run: Any, tmp_path: Path) -> None:
    dev = write(tmp_path / "dev.jsonl", "座椅太硬")
    other = Path(shutil.copytree(tiny_run.folder, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps({**config, "max_tokens": config["max_tokens"] // 2}), "utf-8")
    with pytest.raises(
        BaseError, match=r"^expected runs of one label space, tokeniser, window and encoder, found another in .*other"
    ):
        export_run(tiny_run.folder, tmp_path / "out", {"dev": dev}, others=[other])
    (other / "config.json").write_text(
        json.dumps({**config, "encoder": {**config["encoder"], "transformers_version": "0", "_name_or_path": "x"}}),
        "utf-8",
    )
    # Settings of another day are no other encoder; the weights are the same, though.
    with pytest.raises(BaseError, match=r"^expected runs that differ, found in .*other the same weights"):
        export_run(tiny_run.folder, tmp_path / "out", {"dev": dev}, others=[other])
    (other / "config.json").write_text(
        json.dumps({**config, "encoder": {**config["encoder"], "hidden_act": "relu"}}), "utf-8"
    )
    with pytest.raises(BaseError, match="window and encoder, found another"):
        export_run(tiny_run.folder, tmp_path / "out", {"dev": dev}, others=[other])
    with pytest.raises(BaseError, match=r"^expected runs that differ, found in .* the same weights as in one before"):
        export_run(tiny_run.folder, tmp_path / "out", {"dev": dev}, others=[tiny_run.folder])
    assert not (tmp_path / "out").exists()


def test_export_names_the_runs_of_several_seeds(tmp_path: Path) -> None:
    for name in ("seed-1", "seed-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    with pytest.raises(BaseError, match=r"found several in .*runs; name one or all of them: seed-1, seed-2$"):
        export_run(tmp_path / "runs", tmp_path / "out", {})


def test_export_leaves_out_what_any_of_the_runs_was_trained_on(
    tiny_run: Any, tmp_path: Path, sample_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = list(dict.fromkeys(text for text in sample_texts if len(text) > 60))[:30]
    runs = [Path(shutil.copytree(tiny_run.folder, tmp_path / name)) for name in ("one", "two")]
    model, _ = load_run(runs[1])
    with torch.no_grad():
        next(iter(model.parameters())).add_(1.0)
    model.save_pretrained(runs[1])
    for run, text in zip(runs, texts, strict=False):
        keep_seen(run, {text_hash(text)})
    calibrated: list[str] = []
    told: list[dict[str, Any]] = []

    def spy(*arguments: Any, details: dict[str, Any], **_: Any) -> Exported:
        calibrated.extend(example.text for part in arguments[3].values() for example in part)
        told.append(details)
        raise BaseError("enough")

    monkeypatch.setattr("training.run.export", spy)
    (runs[1] / "metrics.json").write_text(json.dumps({"recipe": {"seed": 14}, "history": []}), "utf-8")
    with pytest.raises(BaseError, match="enough"):
        export_run(runs[0], tmp_path / "out", {"dev": write(tmp_path / "dev.jsonl", *texts)}, others=runs[1:])
    assert texts[0] not in calibrated and texts[1] not in calibrated and set(texts[10:]) & set(calibrated)
    assert told[0]["others"] == [{"recipe": {"seed": 14}}]
