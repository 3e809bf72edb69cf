"""Ours beside other programs, on our texts and on public sets; writes benchmarks/results/comparison.json.

`python -m benchmarks.comparison --dev real=FILE written=FILE --data FILE... --corpora DIR --peers-python PATH`

Own sets (--dev, --test): the overall sentiment of three classes, and mentions where a program knows them. Public sets
(--corpora): positive or negative, on the held-out rows of the hash rule; whatever is fitted sees other rows only, none
that nearly repeats a held-out one. What cannot be measured is null in the results, with the reason beside it. Finished
answers are kept under --work, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import Engine
from training.bases import BaseError
from training.contestants import (
    Bench,
    Options,
    fingerprint,
    own_packaged,
    own_scored,
    own_setfit,
    own_tfidf,
    public_fine_tuned,
    public_packaged,
    public_scored,
    public_setfit,
    public_tfidf,
)
from training.evaluate import EvaluationError
from training.example import DatasetError
from training.peers import PeerError, Peers
from training.public_sets import PUBLIC, PublicSet, read_public_set
from training.results import named_sets, set_facts, write_results
from training.run import Sources, Start, gather

RESULTS = Path(__file__).parent / "results" / "comparison.json"
RUNNER = Path(__file__).parent / "peers" / "runner.py"

# Key → English title, Chinese title, kind, how its answers become our classes.
CONTESTANTS: dict[str, tuple[str, str, str, str]] = {
    "packaged": (
        "cinesent as packaged", "cinesent 随包模型", "checkpoint",
        "Own sets: its own answer, thresholds cross-fitted on development sets. Public sets: the larger of P(positive) "
        "and P(negative) of `overall`, calibrated as it is packaged.",
    ),
    "fine-tuned": (
        "cinesent fine-tuned on other rows", "cinesent 在其余行上微调", "checkpoint",
        "`cinesent train --keep 0` from the packaged checkpoint on a sample of other rows, overall alone; the larger "
        "of P(positive) and P(negative), not calibrated. On own sets the packaged checkpoint is that already.",
    ),
    "mixed": (
        "cinesent fine-tuned, our texts mixed in", "cinesent 微调并混入自有数据", "checkpoint",
        "As fine-tuned, with labelled texts of ours among the training texts.",
    ),
    "tfidf": (
        "TF-IDF of characters (1–3-grams) + logistic regression", "字符 TF-IDF（1–3 元）+ 逻辑回归", "baseline",
        "Fitted on all training texts, on public sets on all other rows; regularisation chosen within them.",
    ),
    "tfidf-sample": (
        "the same, on the sample of rows that ours and SetFit get", "同上，仅用本项目微调与 SetFit 所用的抽样行",
        "baseline", "As TF-IDF above, on the sample of other rows alone.",
    ),
    "setfit": (
        "SetFit on the same encoder", "SetFit（同一编码器）", "peer",
        "On public sets fitted on the same sample of other rows as ours, on own sets on a sample of training texts.",
    ),
    "snownlp": (
        "SnowNLP", "SnowNLP", "peer",
        "Cut points on its score (two on own sets, one on public sets), those with the fewest errors on a sample of "
        "training texts or other rows; `as_packaged` cuts at 0.5. What its model was trained on is not documented.",
    ),
    "cnsenti": (
        "cnsenti", "cnsenti", "peer",
        "Cut points as for SnowNLP, on its positive less its negative score; `as_packaged` cuts at 0.",
    ),
}  # fmt: skip
USED = {  # options that an answer depends on
    "fine-tuned": ("rows", "epochs", "learning_rate", "max_tokens"),
    "mixed": ("rows", "epochs", "learning_rate", "max_tokens", "mix_rows"),
    "tfidf-sample": ("rows",),
    "setfit": ("rows", "max_tokens", "setfit_steps", "setfit_base"),
    "snownlp": ("cut_texts", "peer_texts"),
    "cnsenti": ("cut_texts", "peer_texts"),
}
# What makes an answer another than those that the same options made before, and that may be kept under --work.
MADE = {"packaged": "calibrated", "fine-tuned": "window of --max-tokens", "mixed": "window of --max-tokens"}
NOTES = (
    "The packaged checkpoint learnt from other rows of some public sets (`learnt_from`: how many, by its card), never "
    "from the held-out rows: it has seen texts of their kind.",
    "SetFit and both fine-tuned models start from that checkpoint's encoder, so the same holds for them.",
    "A text without an answer counts as an error.",
)


def measure(bench: Bench, public: Sequence[PublicSet], facts: Mapping[str, Any], only: Sequence[str]) -> list[Any]:
    """Every contestant's figures; null, and the reason under `skipped`, for those that cannot be had."""
    engine = Engine(bench.checkpoint, threads=bench.options.threads)
    on_own: dict[str, Callable[[], dict[str, Any]]] = {
        "packaged": partial(own_packaged, bench, engine),
        "tfidf": partial(own_tfidf, bench),
        "setfit": partial(own_setfit, bench),
        "snownlp": partial(own_scored, bench, "snownlp"),
        "cnsenti": partial(own_scored, bench, "cnsenti"),
    }
    on_public: dict[str, Callable[[PublicSet], dict[str, Any]]] = {
        "packaged": lambda part: public_packaged(bench, part, engine),
        "fine-tuned": lambda part: public_fine_tuned(bench, part, mixed=False),
        "mixed": lambda part: public_fine_tuned(bench, part, mixed=True),
        "tfidf": lambda part: public_tfidf(bench, part),
        "tfidf-sample": lambda part: public_tfidf(bench, part, bench.options.rows),
        "setfit": lambda part: public_setfit(bench, part),
        "snownlp": lambda part: public_scored(bench, part, "snownlp"),
        "cnsenti": lambda part: public_scored(bench, part, "cnsenti"),
    }
    found = []
    for name, (title, zh, kind, how) in CONTESTANTS.items():
        entry: dict[str, Any] = {"name": name, "title": title, "zh": zh, "kind": kind, "mapping": how}
        entry["own"], entry["public"] = dict.fromkeys(bench.own), dict.fromkeys(part.name for part in public)
        skipped = _unfit(bench, name, only)
        if skipped is None and kind == "peer":
            try:
                entry["versions"] = bench.peers.versions(name)
            except PeerError as error:
                skipped = str(error)
        if skipped is not None:
            print(f"{name}: skipped, {skipped}", file=sys.stderr)
            found.append(entry | {"skipped": skipped})
            continue
        key = {"versions": entry.get("versions"), **{part: getattr(bench.options, part) for part in USED.get(name, ())}}
        if name in MADE:
            key["made"] = MADE[name]
        if name == "mixed":
            key["mix"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in bench.options.mix]
        tasks: list[tuple[str, str, dict[str, Any], Callable[[], dict[str, Any]]]] = []
        if bench.own and name in on_own:
            tasks.append(("own", "own", {"own": facts["own"], "training": facts["training"]}, on_own[name]))
        for part in public:
            about = {
                "public": facts["public"][part.name],
                "development": {n: facts["own"][n] for n in bench.development},
            }
            tasks.append(("public", part.name, about, partial(on_public[name], part)))
        for group, column, about, make in tasks:
            try:
                answer = bench.kept(f"{name}.{column}", key | about, make)
            except PeerError as error:
                entry.setdefault("failed", {})[column] = str(error)
                print(f"{name} on {column}: null, {error}", file=sys.stderr)
                continue
            if group == "own":
                entry["own"] = answer.pop("sets")
                entry["fitting"] = answer
            else:
                entry["public"][column] = answer
        found.append(entry)
    return found


def _unfit(bench: Bench, name: str, only: Sequence[str]) -> str | None:
    if only and name not in only:
        return "left out by --only"
    return "expected labelled files of ours in --mix, found none" if name == "mixed" and not bench.options.mix else None


def parser_of() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files: Callable[..., Any] = partial(parser.add_argument, nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--dev", nargs="+", default=[], metavar="NAME=FILE", help="own development sets")
    parser.add_argument("--test", nargs="+", default=[], metavar="NAME=FILE", help="own test sets: once, at the end")
    files("--data", help="labelled training files that baselines and peers learn from")
    files("--standoff", help="stand-off labels to learn from; need --corpora")
    parser.add_argument("--corpora", type=Path, metavar="DIR", help="folder of the public corpora")
    parser.add_argument("--public", nargs="+", choices=PUBLIC, metavar="NAME", help=f"default: {', '.join(PUBLIC)}")
    parser.add_argument(
        "--peers-python", type=Path, metavar="PATH", help="Python of the peers: benchmarks/peers/README.md"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder in place of the packaged one")
    parser.add_argument(
        "--only", nargs="+", choices=CONTESTANTS, default=[], metavar="NAME", help=", ".join(CONTESTANTS)
    )
    files("--mix", help="labelled files of ours to mix into a second fine-tuning")
    numbers: tuple[tuple[str, Callable[[str], Any], str], ...] = (
        ("mix_rows", int, "most lines of --mix"),
        ("rows", int, "most other rows that fine-tuning and SetFit learn from"),
        ("epochs", float, "of fine-tuning"),
        ("learning_rate", float, "of fine-tuning"),
        ("max_tokens", int, "of a text, in fine-tuning and SetFit"),
        ("cut_texts", int, "most texts that cut points are fitted on"),
        ("peer_texts", int, "most held-out rows of a set that SnowNLP and cnsenti answer"),
        ("setfit_steps", int, "steps of fitting SetFit's encoder"),
        ("setfit_base", str, "SetFit's encoder: embedded, or what `cinesent train --base` takes"),
        ("seed", int, "of samples and trainings"),
    )
    for name, kind, text in numbers:
        default = getattr(Options, name)
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=kind, default=default, metavar="N", help=f"{text} (default: {default})")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument(
        "--trial", type=int, metavar="N", help="a trial on at most N rows on either side of a public set"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/comparison"), metavar="DIR", help="answers and runs")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = parser_of()
    options = parser.parse_args(arguments)
    if options.trial is not None and options.json == RESULTS:
        parser.error("expected --json FILE beside --trial, found none; a trial is no result")
    if not options.dev and (options.test or options.corpora is None):
        parser.error("expected --dev NAME=FILE, or --corpora DIR alone, found neither")
    if options.dev and not options.data:
        parser.error("expected labelled training files in --data beside --dev, found none")
    if options.standoff and options.corpora is None:
        parser.error("expected --corpora DIR beside --standoff, found none")
    missing = [path for path in options.mix if not path.is_file()]
    if missing:
        parser.error(f"expected a labelled file in --mix, found nothing at {missing[0]}")
    try:
        checkpoint = load_checkpoint(options.model)
        development, test = (named_sets(items, checkpoint.taxonomy) for items in (options.dev, options.test))
        if set(development) & set(test):
            parser.error("expected different names for --dev and --test, found one twice")
        files = [tuple(Path(item.partition("=")[2]) for item in items) for items in (options.dev, options.test)]
        sources = Sources(tuple(options.data), files[0] + files[1], tuple(options.standoff), options.corpora)
        training = gather(sources, checkpoint.taxonomy) if options.data else []
        public: list[PublicSet] = []
        if options.corpora is not None:
            names = options.public or list(PUBLIC)
            public = [read_public_set(options.corpora, name, most=options.trial) for name in names]
        bench = Bench(
            options=Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__ if name != "mix"},
                            mix=tuple(options.mix)),
            checkpoint=checkpoint,
            start=Start() if options.model is None else Start(warm_start=options.model),
            peers=Peers(options.peers_python, RUNNER),
            work=options.work,
            development=development,
            test=test,
            development_files=files[0],
            training=training,
        )  # fmt: skip
        seen = checkpoint.config.get("training", {}).get("sources", {})
        facts: dict[str, Any] = {
            "own": set_facts(options.dev, development, "development") | set_facts(options.test, test, "test"),
            "training": {
                "texts": len(training),
                "files": [path.name for path in (*options.data, *options.standoff)],
                "fingerprint": fingerprint([f"{example.text}\t{example.overall}" for example in training]),
            },
            "public": {
                part.name: {
                    "corpus": PUBLIC[part.name],
                    "sha256": part.sha256,
                    "held_out": len(part.held),
                    "other": len(part.other),
                    "near_duplicates_removed": part.removed,
                    "learnt_from": seen.get(PUBLIC[part.name], 0),
                }
                for part in public
            },
        }
        contestants = measure(bench, public, facts, options.only)
    except (BaseError, CheckpointError, DatasetError, EvaluationError) as error:
        parser.error(str(error))
    shown = [name for name in Options.__dataclass_fields__ if name not in ("mix", "threads")]
    results = {
        "kind": "comparison",
        "model": checkpoint.name,
        "hash": checkpoint.hash,
        "trial": options.trial,
        "sets": facts["own"],
        "training": facts["training"],
        "public": facts["public"],
        "options": {name: getattr(options, name) for name in shown} | {"mix": [path.name for path in options.mix]},
        "versions": {name: importlib.metadata.version(name) for name in ("scikit-learn", "torch", "transformers")},
        "notes": list(NOTES),
        "contestants": contestants,
    }
    write_results(options.json, results)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
