"""Who takes part in `benchmarks.speed`: ours, BERT-base in four ways, a linear baseline, others."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.rivals import Int8Bert, Linear, Pipeline
from benchmarks.rounds import Seconds, scoring_seconds
from benchmarks.runtimes import runtime_of
from benchmarks.texts import OWN
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint
from training.labelled_files import read_labelled
from training.peers import PeerError, Peers

PEERS = {"snownlp": "SnowNLP", "cnsenti": "cnsenti"}
OURS = "ours"  # with all threads, and "ours-1" with one


@dataclass(frozen=True)
class Contestant:
    """A program, what it runs with, and `seconds`, which times it; without that, `skipped` says why.

    `identity`: what its figures depend on beyond what all depend on; the names in the journal have it.
    """

    name: str
    title: str
    zh: str
    kind: str
    threads: int
    how: str
    how_zh: str
    seconds: Seconds | None
    skipped: str | None = None
    runtime: str | None = None
    identity: str = ""

    def key(self, part: str) -> str:
        """The name of its task on one set of texts."""
        return f"{self.name}{f' ({self.identity})' if self.identity else ''} on {part}"


def analyzers_of(model: Path | None, threads: int) -> dict[str, Analyzer]:
    """Ours by contestant's name, as a plain installation runs it."""
    runtime = runtime_of(None, model).name
    counts = {f"{OURS}-1": 1, OURS: threads}
    return {name: Analyzer.load(model, threads=count, runtime=runtime) for name, count in counts.items()}


def check_peers(peers: Peers) -> None:
    """That every peer answers a text.

    Raises:
        PeerError: one does not.
    """
    for peer in PEERS:
        peers.versions(peer)
        peers.seconds(peer, ["影院不错"])


def own_contestants(analyzers: Mapping[str, Analyzer], threads: int) -> list[Contestant]:
    """Ours, with one thread and with all."""
    found = []
    for name, analyzer in analyzers.items():
        count = 1 if name != OURS else threads
        title = f"cinesent, ONNX Runtime in {analyzer.runtime.precision}, as `pip install` gives it, {_threads(count)}"
        zh = f"cinesent，ONNX Runtime {analyzer.runtime.precision}，即 `pip install` 所得，{count} 线程"
        how = "Analyzer.analyze_many: dimensions, evidence, records"
        how_zh = "Analyzer.analyze_many：维度、依据、记录"
        if name != OURS:
            how, how_zh = f"{how}; the tokeniser on one core as well", f"{how_zh}；分词亦只用一核"
        seconds = partial(scoring_seconds, analyzer, one_core=count == 1)
        runtime = str(analyzer.runtime)
        found.append(
            Contestant(name, title, zh, "checkpoint", count, how, how_zh, seconds, runtime=runtime, identity=runtime)
        )
    return found


def contestants(
    analyzers: Mapping[str, Analyzer], checkpoint: Checkpoint, bert: Path, peers: Peers, threads: int
) -> list[Contestant]:
    """All of them, loaded; ours first."""
    plain, int8 = Pipeline(bert, threads), Int8Bert(bert, threads)
    linear = Linear(read_labelled([OWN], checkpoint.taxonomy), checkpoint.taxonomy)
    prompts = [dimension.zh for dimension in checkpoint.taxonomy.dimensions]
    found = own_contestants(analyzers, threads)
    for size in (1, 32):
        found.append(
            Contestant(
                f"bert-{size}", f"BERT-base, transformers pipeline, batches of {size}",
                f"BERT-base，transformers pipeline，批大小 {size}", "peer", threads,
                "random weights; one label a text", "随机权重；每条文本一个标签",
                partial(plain.seconds, batch_size=size),
            )
        )  # fmt: skip
    for size in (1, 32):
        found.append(
            Contestant(
                f"bert-int8-{size}", f"BERT-base, ONNX Runtime int8, batches of {size}",
                f"BERT-base，ONNX Runtime int8，批大小 {size}", "peer", threads,
                "random weights; dynamic quantisation; one label a text", "随机权重；动态量化；每条文本一个标签",
                partial(int8.seconds, batch_size=size),
            )
        )  # fmt: skip
    found.append(
        Contestant(
            "bert-aspects", f"BERT-base, one pass per aspect ({len(prompts)})",
            f"BERT-base，逐维度推理（{len(prompts)} 次）", "peer", threads,
            "random weights; the pipeline on pairs of a dimension's name and the text, batches of 32",
            "随机权重；pipeline 的输入为维度名与文本之对，批大小 32",
            partial(plain.seconds_by_aspect, prompts=prompts, batch_size=32),
        )
    )  # fmt: skip
    found.append(
        Contestant(
            "tfidf", "TF-IDF of characters + logistic regression", "字符 TF-IDF + 逻辑回归", "baseline", 1,
            f"all heads in one product over {linear.features:,} features, fitted on {OWN.name}; one thread",
            f"全部输出合为一次乘法，{linear.features:,} 个特征，以 {OWN.name} 训练；单线程", linear.seconds,
        )
    )  # fmt: skip
    return [*found, *(_peer(peers, name, title) for name, title in PEERS.items())]


def _peer(peers: Peers, name: str, title: str) -> Contestant:
    how = "one score a text, as installed; one process, one thread; its start does not count"
    how_zh = "每条文本一个分数，按安装所得，未作改动；单进程、单线程；不计启动时间"
    try:
        versions = ", ".join(f"{package} {version}" for package, version in peers.versions(name).items())
    except PeerError as error:
        print(f"{name}: skipped, {error}", file=sys.stderr)
        return Contestant(name, title, title, "peer", 1, how, how_zh, None, str(error))
    timed = partial(peers.seconds, name)
    how, how_zh = f"{how}; {versions}", f"{how_zh}；{versions}"
    return Contestant(name, title, title, "peer", 1, how, how_zh, timed, identity=versions)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
