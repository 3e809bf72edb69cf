"""Makes the embedded checkpoint again, from the project's texts, the real comments and the public corpora.

`python -m training.reproduce --annotations DIR --corpora DIR -o runs/reproduce` runs the stages one after another,
skips those that are done, resumes one that was interrupted, and prints how far the figures are from the committed ones.

    base     the offline base
    fit      its first 8 layers (or --layers), fitted to all labelled texts
    export   the packaged checkpoint, calibrated on both development sets; with the extra int8 its scales for int8
    measure  development figures, cross-fitted, beside those of benchmarks/results/quality.json
With `--members 3 -o runs/large` two more are fitted, which differ in their seeds, and all three become one checkpoint,
which answers with the mean of their logits, and is as large and slow as all of them. It is in
runs/large/ensemble-3, which any `--model` takes; the distances are then what the other two bring. Members that are
there stay: a folder that `reproduce` has filled before needs only the others.

The committed checkpoint was made like this from the texts of then (its card counts them); with more texts, or on
another processor, the distance is not nil.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.runtimes import RuntimeChoiceError
from training.bases import BaseError, build_offline_base
from training.corpora import held_out_texts, read_rows
from training.drift import ExportError
from training.evaluate import evaluate_checkpoint
from training.example import DatasetError
from training.int8 import missing
from training.labelled_files import read_jsonl, read_labelled
from training.quality_tables import COLUMNS, find
from training.run import Sources, Start, export_run, run_training
from training.train import Recipe

ROOT = Path(__file__).parent.parent
COMMITTED = ROOT / "benchmarks" / "results" / "quality.json"

# Corpus, most texts: where the vocabulary is counted.
VOCABULARY = (
    ("film_maoyan", 60_000), ("film_douban", 40_000), ("venue_broad", 12_000), ("venue_service", 1_200),
    ("weibo_film_posts", 5_000), ("film_tw_yahoo_seg", 2_000), ("reviews_openrice_aspect_stars", 5_000),
    ("absa_zhang_dianping_aste", 20_000), ("absa_dimabsa_restaurant_zh", 7_000), ("absa_aichallenger_pieces", 3_000),
    ("senti_waimai_10k", 11_000), ("senti_chnsenticorp_hotel", 6_000), ("senti_online_shopping_10_cats", 15_000),
    ("service_jddc_dialogues", 8_000), ("service_beike_qa", 15_000), ("weibo_emotion_mixed", 20_000),
    ("reviews_mafengwo_westlake", 4_000), ("lm_cluecorpus_sampled", 2_500), ("complaint_taidi2020_gov_messages", 600),
    ("video_comments_mangotv", 8_000),
)  # fmt: skip
LAYERS, DEEPEST = 8, 12  # kept of the base's, and all of them
MEASURED = tuple(
    ROOT / "data" / name for name in ("cinema/test.jsonl", "pairs/traditional.jsonl", "pairs/mainland.jsonl")
)
# To the last epoch: the rate falls to nothing only there.
RECIPE = Recipe(epochs=5, held_out=0.02, patience=99)
OTHER_TRADES = 0.6  # weight in the loss: read as if the business were a cinema


@dataclass(frozen=True)
class Stages:
    """The stages over one working folder; each is a method that leaves its folder complete.

    With several `members`, three for instance, there are as many fits, and `ensemble-3` and `measure-ensemble-3` in
    place of `export` and `measure`.
    """

    annotations: Path
    corpora: Path
    folder: Path
    layers: int = LAYERS
    members: int = 1

    @property
    def development(self) -> dict[str, Path]:
        return {"real": self.annotations / "dev.jsonl", "written": ROOT / "data" / "cinema" / "dev.jsonl"}

    @property
    def checkpoint(self) -> Path:
        """What comes of them."""
        return self.folder / ("export" if self.members == 1 else f"ensemble-{self.members}")

    @property
    def report(self) -> Path:
        """Its development figures."""
        return self.folder / ("measure" if self.members == 1 else f"measure-{self.checkpoint.name}") / "report.json"

    def steps(self) -> dict[str, Callable[[], None]]:
        """The stages by name, in order."""
        fits = {name: partial(self.fit, at) for at, name in enumerate(self._fits())}
        return {
            "base": self.base, **fits, self.checkpoint.name: self.export, self.report.parent.name: self.measure,
        }  # fmt: skip

    def _fits(self) -> list[str]:
        return ["fit", *(f"fit-{number}" for number in range(2, self.members + 1))]

    def base(self) -> None:
        build_offline_base(self.folder / "base", texts=self._vocabulary())

    def _vocabulary(self) -> Iterator[str]:
        banned = held_out_texts(self.corpora)
        for name, limit in VOCABULARY:
            rows = (row["text"] for row in read_rows(self.corpora, name) if row["text"] not in banned)
            yield from (text[:400] for text in islice(rows, limit))
        for path in (self.annotations / "train.jsonl", ROOT / "data" / "cinema" / "train.jsonl"):
            yield from (str(row["text"]) for _, row in read_jsonl(path) if row["text"] not in banned)

    def fit(self, member: int = 0) -> None:
        trades, other = ROOT / "data" / "standoff" / "trades.jsonl", self.annotations / "other_trades.jsonl"
        sources = Sources(
            data=(self.annotations / "train.jsonl", ROOT / "data" / "cinema" / "train.jsonl", other),
            standoff=(ROOT / "data" / "standoff" / "film.jsonl", trades),
            # Near-duplicates of other measured texts go as well; their labels are not used.
            dev=(*self.development.values(), *MEASURED),
            corpora=self.corpora,
            weights={other: OTHER_TRADES, trades: OTHER_TRADES},
        )
        start = Start(base=str(self.folder / "base"), layers=self.layers)
        self._train(self._fits()[member], sources, start, replace(RECIPE, seed=RECIPE.seed + member))

    def export(self) -> None:
        lacking = missing()
        if lacking is not None:
            print(f"without scales for int8, {lacking}", file=sys.stderr)
        own = () if lacking is not None else (ROOT / "data" / "cinema" / "train.jsonl",)
        first, *others = (self.folder / name for name in self._fits())
        try:
            export_run(first, self.checkpoint, self.development, int8=own, others=others)
        except ExportError as error:
            if not own:
                raise
            # Whether that was for the scales, and nothing else, shows without them.
            export_run(first, self.checkpoint, self.development, int8=(), others=others)
            print(f"without scales for int8: {error}", file=sys.stderr)

    def measure(self) -> None:
        checkpoint = load_checkpoint(self.checkpoint)
        sets = {name: read_labelled([path], checkpoint.taxonomy) for name, path in self.development.items()}
        reports = evaluate_checkpoint(checkpoint, sets, cross_fit=True)
        text = json.dumps(reports, ensure_ascii=False, indent=1)
        self.report.parent.mkdir(exist_ok=True)
        self.report.write_text(text, "utf-8")

    def _train(self, stage: str, sources: Sources, start: Start, recipe: Recipe) -> None:
        folder = self.folder / stage
        resume = any((folder / "checkpoints").glob("checkpoint-*"))
        run_training(sources, start, folder, recipe, resume=resume)


def check_depth(folder: Path, layers: int) -> None:
    """
    Raises:
        BaseError: the folder holds a training, finished or not, of another depth; its stages would be taken for done.
    """
    for path in sorted((*folder.glob("fit*/config.json"), *folder.glob("fit*/checkpoints/*/config.json"))):
        found = json.loads(path.read_text("utf-8")).get("encoder", {}).get("num_hidden_layers", layers)
        if found != layers:
            raise BaseError(
                f"expected a training of {layers} layers in {folder}, found one of {found}; "
                f"give --layers {found}, or another folder with -o"
            )


def run_stages(stages: Mapping[str, Callable[[], None]], folder: Path) -> list[str]:
    """Runs the stages that have no `NAME.done` in the folder yet; returns the names of those that ran."""
    folder.mkdir(parents=True, exist_ok=True)
    ran = []
    for name, stage in stages.items():
        mark = folder / f"{name}.done"
        if mark.exists():
            print(f"{name}: done before")
            continue
        started = time.monotonic()
        stage()
        minutes = (time.monotonic() - started) / 60
        mark.write_text(f"{minutes:.1f} minutes\n", "utf-8")
        print(f"{name}: {minutes:.1f} minutes")
        ran.append(name)
    return ran


def distances(reports: Mapping[str, Any], committed: Mapping[str, Any]) -> list[str]:
    """One line for each figure of each set: made here, committed, and the difference, in points."""
    (model,) = (m for m in committed["models"] if m["kind"] == "checkpoint")
    lines = []
    for name, report in reports.items():
        for path, title, _ in COLUMNS:
            made, told = find(report, path), find(model["sets"].get(name, {}), path)
            if made is None or told is None:
                continue
            here, there = 100 * made["value"], 100 * told["value"]
            lines.append(f"{name}, {title}: {here:.1f}, committed {there:.1f}, {here - there:+.1f}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the stages from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotations", type=Path, required=True, help="train.jsonl, other_trades.jsonl, dev.jsonl")
    parser.add_argument("--corpora", type=Path, required=True, help="folder of the public corpora")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/reproduce"), help="default: %(default)s")
    parser.add_argument(
        "--layers", type=int, default=LAYERS, metavar="N", help="of the base's 12, the first N (default: %(default)s)"
    )
    parser.add_argument(
        "--members", type=int, default=1, metavar="N", help="trainings whose mean is taken (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.members < 1:
        parser.error(f"expected at least 1 of --members, found {options.members}")
    if not 1 <= options.layers <= DEEPEST:
        parser.error(f"expected --layers between 1 and {DEEPEST}, found {options.layers}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stages = Stages(options.annotations, options.corpora, options.output, options.layers, options.members)
    try:
        check_depth(options.output, options.layers)
        run_stages(stages.steps(), options.output)
    except (BaseError, CheckpointError, DatasetError, ExportError, RuntimeChoiceError, OSError) as error:
        print(f"training.reproduce: {error}", file=sys.stderr)
        return 3 if isinstance(error, ExportError) else 2
    reports = json.loads(stages.report.read_text("utf-8"))
    print("\n".join(distances(reports, json.loads(COMMITTED.read_text("utf-8")))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
