"""The checkpoint inside the package: what it weighs, what it reads, and that it answers sensibly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentiment import Analyzer
from sentiment.checkpoint import FILES, INT8, INT8_GRAPH, embedded_folder
from sentiment.int8 import exact_products

CINEMA = Path(__file__).parent.parent / "data" / "cinema"
CLAUSES = (
    "导演把人物的犹豫拍得很细。", "摄影师偏爱清晨的光。", "女主角的独白让人想起外婆。", "配乐收得很干净，一点不抢戏。",
    "中段的追逐戏剪得利落。", "结尾留白，我在心里补完了它。", "这个系列终于找回了当年的味道。", "群像写得尤其好。",
)  # fmt: skip


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Analyzer]:
    yield Analyzer.load()


def test_embedded_is_below_40_megabytes() -> None:
    assert sum(file.stat().st_size for file in embedded_folder().iterdir()) < 40_000_000


def test_embedded_scoring_leaves_nothing_and_reports_to_nobody(tmp_path: Path) -> None:
    """ONNX Runtime from 1.29 on reports its use, and keeps what it has not sent yet in the home folder."""
    code = (
        "import os, sys\n"
        "from sentiment import Analyzer\n"
        "for runtime in sys.argv[1:]:\n"
        "    assert Analyzer.load(runtime=runtime).analyze('座椅太硬').status == 'ok'\n"
        "print([os.readlink(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')\n"
        "       if os.path.exists(f'/proc/self/fd/{name}')] if os.path.isdir('/proc/self/fd') else [])\n"
    )
    # In CI, and in tests of its own, it reports nothing in any case.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "GITHUB", "ORT_", "XDG_"))}
    runtimes = ["onnxruntime", *(["onnxruntime-int8"] if exact_products() else [])]
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA")}
    command = [sys.executable, "-c", code, *runtimes]
    done = subprocess.run(
        command, env=kept | home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*")), "expected nothing in the home folder"
    assert "socket" not in done.stdout and "onnxruntime.db" not in done.stdout


def test_embedded_holds_no_pickle() -> None:
    assert {file.name for file in embedded_folder().iterdir()} == {*FILES, INT8, INT8_GRAPH, "README.md"}


@pytest.mark.parametrize("scripts", [("hans",), ("hant", "mixed")])
def test_embedded_tokeniser_knows_more_than_99_5_percent_of_tokens(
    analyzer: Analyzer, scripts: tuple[str, ...]
) -> None:
    from sentiment.text import normalise

    tokenizer = analyzer._engine.tokenizer
    unknown = tokenizer.token_to_id("<unk>")
    ids: list[int] = []
    for split in ("train", "dev", "test"):
        for line in (CINEMA / f"{split}.jsonl").read_text("utf-8").splitlines():
            norm = normalise(json.loads(line)["text"])
            if norm.script in scripts:
                ids += tokenizer.encode(norm.text, add_special_tokens=False).ids
    assert len(ids) > 10_000
    assert ids.count(unknown) / len(ids) < 0.005


def test_embedded_finds_a_complaint_at_the_end_of_a_long_review(analyzer: Analyzer) -> None:
    praise = "".join(CLAUSES[i % len(CLAUSES)] for i in range(300))[:2950]
    complaint = "可是散场后停车费收了我四十块，说好的停车券根本不能用。"
    text = f"{praise}。{complaint}"
    analysis = analyzer.analyze(text)
    assert analysis.windows > 5
    (parking,) = [mention for mention in analysis.dimensions if mention.dimension == "parking"]
    assert parking.sentiment == "negative"
    assert parking.start >= text.index(complaint)
    assert text[parking.start : parking.end] == parking.evidence


@pytest.mark.parametrize(
    ("text", "dimension", "sentiment"),
    [
        ("座椅太硬，坐得腰疼", "seating", "negative"),
        ("廁所很髒，垃圾桶滿出來都沒人清", "cleanliness", "negative"),
        ("前台小姑娘很热情，耐心帮我们换了票", "staff", "positive"),
        ("ＩＭＡＸ巨幕太震撼了！！！！！！", "picture", "positive"),
    ],
)
def test_embedded_reads_plain_statements(analyzer: Analyzer, text: str, dimension: str, sentiment: str) -> None:
    found = {mention.dimension: mention.sentiment for mention in analyzer.analyze(text).dimensions}
    assert found.get(dimension) == sentiment


def test_embedded_leaves_film_talk_mostly_alone(analyzer: Analyzer) -> None:
    """Film-only development texts that use service words; the share with a false service label is a known weakness.

    The target is 3%; measured are 9 of 84 (benchmarks/results/robustness.json). The bound is a standard error more.
    """
    rows = [json.loads(line) for line in (CINEMA / "dev.jsonl").read_text("utf-8").splitlines()]
    decoys = [row["text"] for row in rows if row.get("kind") == "decoy"]
    service = set(analyzer.taxonomy.service_keys)
    false = sum(any(m.dimension in service for m in a.dimensions) for a in analyzer.analyze_block(decoys))
    assert len(decoys) >= 40
    assert false / len(decoys) <= 0.15
