"""The Python client against the service, and the examples of docs/clients.md, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from waits import block_until

from sentiment.client import AsyncClient, ItemError
from serve import jobs
from serve.app import create_app
from serve.settings import Settings
from serve.store import read_feedback
from training.importing import Importer
from training.merging import example, sha256

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"<!-- test -->\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES = EXAMPLE.findall((ROOT / "docs" / "clients.md").read_text("utf-8"))
HOME = "http://localhost:8000"
REVIEWS = "评论\n座椅太硬\n音响震撼\n"
# What each of the Python examples shows, in their order; the service that they are run against finds 座椅 and 票价.
SHOWN = (
    r"negative\n",
    r"ok \[\('seating', 'negative', '座椅'\)\]\nok \[\('price', 'negative', '票价'\)\]\nempty \[\]\n",
    r"a Analysis\(.*'a'.*'seating', sentiment='negative'.*\nb Analysis\(.*'b'.*'price', sentiment='negative'.*\n",
    r"(\w+: \d+%, \d rows\n)*done: 100%, 2 rows\n1 rows could not be read\n",
    r"",
)


@pytest.mark.anyio
async def test_client_reads_what_the_service_says(fake: Any, connect: Any) -> None:
    async with (
        connect(fake, max_batch_items=2, max_characters=50) as http,
        AsyncClient(str(http.base_url), transport=http._transport, probabilities=True) as client,
    ):
        info = await client.info()
        assert (info.model, info.limits.max_batch_items) == (fake.name, 2)
        assert (await client.taxonomy()).keys == fake.taxonomy.keys
        analysis = await client.analyze("😀座椅很硬", "a")
        assert (analysis.id, analysis.dimensions[0].start) == ("a", 1)
        assert len(analysis.probabilities) == len(fake.taxonomy.keys)
        found = [one async for one in client.analyze_many(["票价贵", "", "长" * 99, "座\ud83d", "座椅硬"])]
    assert [one.code if isinstance(one, ItemError) else one.status for one in found] == [
        *("ok", "empty", "text_too_large", "invalid_unicode", "ok")
    ]


@pytest.mark.anyio
async def test_client_feedback_reaches_the_training_data(fake: Any, connect: Any, data_folder: Path) -> None:
    text = "😀座椅很硬，票价不错"
    async with (
        connect(fake) as http,
        AsyncClient(str(http.base_url), transport=http._transport) as client,
    ):
        before = await client.analyze(text)
        right = before.to_dict()
        right["dimensions"] = [
            {**mention, "sentiment": "positive"} if mention["dimension"] == "price" else mention
            for mention in right["dimensions"]
        ]
        assert (await client.feedback(text, before, right))["text_stored"] is False
    importer = Importer(fake.taxonomy, texts={sha256(text): text})
    importer.feedback(read_feedback(str(data_folder / "cinesent.sqlite")), "feedback")
    (judgement,) = importer.found.judgements
    assert judgement.labels["annotated"] == ["price"] and "overall" not in judgement.labels
    assert example(judgement, fake.taxonomy).labels == {"price": ("positive", 6, 8)}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service on a port of its own, with the made-up analyser, whose files come back as they are, with a report."""
    from file_scripts import BEGIN, GOOD

    from tests.serve.conftest import FakeAnalyzer

    settings = Settings(data_dir=tmp_path_factory.mktemp("service"))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, FakeAnalyzer()), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "_COMMAND", (sys.executable, "-S", "-c", BEGIN + GOOD))
        patch.setattr(jobs, "_LOOK_SECONDS", 0.05)
        thread.start()
        try:
            block_until(lambda: server.started or not thread.is_alive())
            assert thread.is_alive()
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(30)


def run(tool: str, *arguments: str, folder: Path) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"there is no {tool}")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [found, *arguments], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_clients_has_every_language() -> None:
    assert [language for language, _ in EXAMPLES] == ["python"] * 5 + ["bash", "javascript", "java"]
    assert all(HOME in code for _, code in EXAMPLES)


@pytest.mark.parametrize(
    ("number", "language", "code"),
    [(number, *example) for number, example in enumerate(EXAMPLES)],
    ids=[f"{name}-{i}" for i, (name, _) in enumerate(EXAMPLES)],
)
def test_clients_examples_run(number: int, language: str, code: str, address: str, tmp_path: Path) -> None:
    code = code.replace(HOME, address)
    if language == "python":
        (tmp_path / "reviews.csv").write_text(REVIEWS, "utf-8")
        shown = run(sys.executable, "-W", "error", "-c", code, folder=tmp_path)
        scored = tmp_path / "scored.csv"
        assert re.fullmatch(SHOWN[number], shown), shown
        assert scored.exists() == ("scored.csv" in code)
        assert not scored.exists() or scored.read_text("utf-8") == REVIEWS
        report = tmp_path / "report.html"
        assert report.exists() == ("report.html" in code)
        assert not report.exists() or report.read_text("utf-8") == "<p>"
    elif language == "bash":
        if shutil.which("curl") is None:
            pytest.skip("there is no curl")
        # "👍音响不错，" is seven UTF-16 code units.
        assert '"evidence":"座椅","start":7,"end":9' in run("bash", "-c", code, folder=tmp_path)
    elif language == "javascript":
        (tmp_path / "example.mjs").write_text(code, "utf-8")
        assert run("node", "example.mjs", folder=tmp_path) == "ok negative\nseating negative 座椅 工程\n"
    else:
        (tmp_path / "Example.java").write_text(code, "utf-8")
        shown = run("java", "-Dfile.encoding=UTF-8", "-Dsun.stdout.encoding=UTF-8", "Example.java", folder=tmp_path)
        assert shown == "seating 座椅\n"
