"""The whole circle: scored texts, a queue, what people answer, another training, and may it replace the old one."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sentiment import Analysis, Analyzer
from sentiment.cli import main
from sentiment.client import AsyncClient
from sentiment.tables.scored import ScoredText
from sentiment.taxonomy import Taxonomy
from serve.app import create_app
from serve.settings import Settings
from training.example import Example
from training.labelled_files import read_labelled
from training.labelstudio import task

SAID = "面包发酸，店员冷淡"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def labels_of(example: Example) -> dict[str, Any]:
    return {
        "labels": [
            {"dimension": key, "sentiment": sentiment, "start": start, "end": end}
            for key, (sentiment, start, end) in example.labels.items()
        ],
        "overall": example.overall, "intent": example.intent, "escalation": example.escalation,
    }  # fmt: skip


def write_labelled(path: Path, examples: list[Example]) -> Path:
    rows = [{"text": e.text, "id": e.id, **labels_of(e)} for e in examples]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


async def corrected(model: Path, data: Path, text: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Sends one correction to a service, which is not allowed to keep the text."""
    app = create_app(Settings(model=model, threads=1, data_dir=data))
    async with (
        app.router.lifespan_context(app),
        AsyncClient("http://127.0.0.1", transport=httpx.ASGITransport(app)) as client,
    ):
        await client.info()  # once the checkpoint is loaded
        answer = await client.feedback(text, before, after, keep_text=True)
    assert answer["sha256"] == sha256(text.encode()).hexdigest() and answer["text_stored"] is False


async def reloaded(old: Path, new: Path, served: Path) -> tuple[Analysis, dict[str, Any], Analysis]:
    """What a service says before and after its checkpoint's folder is exchanged, and its answer to the reload."""
    shutil.copytree(old, served)
    app = create_app(Settings(model=served, threads=1, data_dir=served.with_name("data")))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with AsyncClient("http://127.0.0.1", transport=transport) as client:
            before = await client.analyze(SAID)
            served.rename(served.with_name("before"))
            shutil.copytree(new, served)
            return before, await client.reload(), await client.analyze(SAID)


@pytest.mark.slow
def test_circle_of_corrections(
    tmp_path: Path, own_checkpoint: Path, own_taxonomy: Taxonomy, own_examples: Callable[[int, int], list[Example]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    space = tmp_path / "bakery.yaml"
    space.write_text(yaml.safe_dump(own_taxonomy.to_dict(), allow_unicode=True), "utf-8")
    pool = {example.text: example for example in own_examples(80, 5)}
    dump = tmp_path / "dump.jsonl"
    dump.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in pool), "utf-8")

    assert run("score", dump, "-o", tmp_path / "scored.parquet", "--model", own_checkpoint) == 0
    tasks, config = tmp_path / "tasks.json", tmp_path / "labelling.xml"
    assert (
        run("queue", tmp_path / "scored.parquet", "-n", 24, "-o", tasks, "--config", config, "--taxonomy", space) == 0
    )
    queued = json.loads(tasks.read_text("utf-8"))
    assert len(queued) == 24 and config.read_text("utf-8").count("<Label ") == len(own_taxonomy.keys)

    # Two people answer in Label Studio, as the tasks' own shape has it; the second one takes every bread for neutral.
    answers = []
    for number, asked in enumerate(queued):
        text = asked["data"]["text"]
        said = []
        for person, unlike in ((1, False), (2, True)):
            labels = labels_of(pool[text])
            if unlike:
                labels["labels"] = [
                    {**entry, "sentiment": "neutral"} if entry["dimension"] == "bread" else entry
                    for entry in labels["labels"]
                ]
            result = task(ScoredText("", 0, "", text, "ok", labels=labels), own_taxonomy)["predictions"][0]["result"]
            said.append({"id": 10 * number + person, "completed_by": person, "result": result})
        answers.append({**asked, "id": number, "annotations": said})
    export = tmp_path / "export.json"
    export.write_text(json.dumps(answers, ensure_ascii=False), "utf-8")

    # One correction over HTTP, of a text that nobody queued: the service keeps its hash only.
    left = next(text for text in pool if text not in {asked["data"]["text"] for asked in queued})
    truth = labels_of(pool[left])
    before = {**truth, "overall": "neutral" if truth["overall"] != "neutral" else "negative"}
    asyncio.run(corrected(own_checkpoint, tmp_path / "corrected", left, before, truth))
    database = tmp_path / "corrected" / "cinesent.sqlite"
    assert left.encode() not in database.read_bytes()

    labels, counts = tmp_path / "labels.jsonl", tmp_path / "counts.json"
    capsys.readouterr()
    reading = (export, "--feedback", database, "--texts", dump, "--taxonomy", space)
    assert run("data", "import", *reading, "--json", counts, "-o", labels) == 0
    report = json.loads(counts.read_text("utf-8"))
    assert report["rows"] == {"Label Studio": 24, "feedback": 1} and (report["texts"], report["rejected"]) == (25, 0)
    assert report["agreement"]["mention"] == 1.0 and report["agreement"]["joint"] < 1.0
    imported = {example.text: example for example in read_labelled([labels], own_taxonomy)}
    assert imported[left].overall == truth["overall"] and imported[left].annotated == frozenset()
    for text, example in imported.items():
        if text != left:
            agreed = {key: value for key, value in pool[text].labels.items() if key in example.annotated}
            assert example.labels == agreed and ("bread" in example.annotated) == (
                pool[text].labels.get("bread", ("neutral",))[0] == "neutral"
            )
    assert report["open"] == sum("bread" not in e.annotated for text, e in imported.items() if text != left)

    train = write_labelled(tmp_path / "train.jsonl", own_examples(120, 0))
    dev = write_labelled(tmp_path / "dev.jsonl", own_examples(60, 1))
    fitted = ("--data", train, "--data", labels, "--warm-start", own_checkpoint, "--epochs", 1, "--learning-rate", 1e-4)
    assert run("train", *fitted, "--max-tokens", 64, "-o", tmp_path / "run") == 0
    new = tmp_path / "new"
    assert run("export", tmp_path / "run", "--dev", dev, "--name", "bakery", "-o", new) == 0

    test = write_labelled(tmp_path / "test.jsonl", own_examples(60, 9))
    capsys.readouterr()
    assert run("evaluate", "--compare", own_checkpoint, new, "--data", test) == 0
    assert "may replace" in capsys.readouterr().out
    found = Analyzer.load(new).analyze(SAID)
    assert found.status == "ok" and found.model.startswith("bakery@")
    old, swapped, after = asyncio.run(reloaded(own_checkpoint, new, tmp_path / "served"))
    assert old.model == Analyzer.load(own_checkpoint).name != swapped["model"]
    assert swapped["changed"] and swapped["model"] == after.model == found.model
    assert (after.overall, after.dimensions) == (found.overall, found.dimensions)
