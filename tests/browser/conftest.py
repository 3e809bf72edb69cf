"""The page in Chromium, served by the real service with the packaged checkpoint; nothing else may be reached."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from serve.app import create_app
from serve.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Route

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--process-per-site", "--disable-extensions", "--mute-audio"),
)
PATIENCE = 120  # seconds; a busy machine is no fault
# The browser's own word for an answer that is an error; the tests of errors cause them.
REFUSED = "Failed to load resource"


@dataclass
class Visit:
    """A tab with the page open, and what went on in it. `console` holds warnings, errors and uncaught exceptions."""

    page: Page
    url: str
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)

    def saw(self, request: Request) -> None:
        self.requests.append(request.url)
        if (request.method, urlsplit(request.url).path) == ("POST", "/v1/feedback"):
            self.feedback.append(request.post_data_json)

    def score(self, text: str) -> None:
        self.page.fill("#text", text)
        self.page.click("#analyse")
        self.page.wait_for_selector("#result > *")

    def answer(self, path: str, *answers: tuple[int, Any, dict[str, str]]) -> list[int]:
        """Answers requests to `path` with (status, body, headers) in turn, the last one for good; returns how many so
        far, in a list of one. A body that is None aborts the request: the network is gone."""
        count = [0]

        def handle(route: Route) -> None:
            status, body, headers = answers[min(count[0], len(answers) - 1)]
            count[0] += 1
            if body is None:
                route.abort("connectionrefused")
            else:
                route.fulfill(
                    status=status, headers={"Content-Type": "application/json"} | headers, body=json.dumps(body)
                )

        self.page.route(lambda url: urlsplit(url).path == path, handle)
        return count

    def wait(self, condition: str, argument: Any = None) -> None:
        """Until a JavaScript condition holds. The page's headers forbid Playwright's own `wait_for_function`."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.page.evaluate(condition, argument):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"expected {condition}, found that it does not come true")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service keeps what it keeps."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
def service(data_dir: Path) -> Iterator[str]:
    """The URL of a service in a thread."""
    app = create_app(Settings(port=0, threads=1, data_dir=data_dir, store_texts=True))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, server_header=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        with httpx.Client(base_url=url) as client:
            while client.get("ready").status_code != 200:
                time.sleep(0.05)
        yield url
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="package")
def browser(require_tool: Callable[[str, str | None], None]) -> Iterator[Browser]:
    """Chromium, started once for this folder: its event loop must be gone before other folders' tests run theirs."""
    found = next((path for path in map(shutil.which, ("chromium", "chromium-browser")) if path), None)
    missing = None if found else "there is no Chromium: apt-get install chromium"
    if importlib.util.find_spec("playwright") is None:
        missing = 'there is no Playwright: pip install "cinesent[dev]"'
    require_tool("browser", missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS), timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def profiles(browser: Browser, service: str) -> Callable[..., Page]:
    """For each set of options a profile with one quiet page of the service, which runs nothing. It keeps the process
    of its site alive: starting one, and a profile, costs more than most tests."""
    made: dict[str, Page] = {}

    def profile(**options: Any) -> Page:
        key = json.dumps(options, sort_keys=True)
        if key not in made:
            context = browser.new_context(**options)
            context.set_default_timeout(1000 * PATIENCE)
            made[key] = context.new_page()
            made[key].goto(f"{service}page/icon.svg")
        return made[key]

    return profile


@pytest.fixture
def visit(profiles: Callable[..., Page], service: str) -> Iterator[Callable[..., Visit]]:
    """Opens the page in a profile that remembers nothing: `visit(locale="en-GB", width=390, path="#file", …)`.

    Afterwards nothing may have gone to another host, nor been said in the console but that a request was refused.
    """
    visits = []

    def start(locale: str = "zh-CN", width: int = 1280, path: str = "", load: bool = True, **options: Any) -> Visit:
        quiet = profiles(locale=locale, viewport={"width": width, "height": 844}, **options)
        found = Visit(quiet.context.new_page(), service)
        visits.append((found, quiet))
        page = found.page
        page.on("request", found.saw)
        page.on("pageerror", lambda error: found.console.append(str(error)))
        page.on("console", lambda message: message.type in ("warning", "error") and found.console.append(message.text))
        if load:
            page.goto(service + path)
        return found

    yield start
    for found, quiet in visits:
        found.page.close()
        assert quiet.context.pages == [quiet], "the page opens no other tab by itself"
        assert quiet.context.cookies() == []
        quiet.evaluate("localStorage.clear()")
        assert [line for line in found.console if not line.startswith(REFUSED)] == []
        assert {url for url in found.requests if not url.startswith((found.url, "blob:" + found.url))} == set()


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """Builds the answer about a text: (text, {dimension: (sentiment, evidence)}, members that differ)."""

    def build(text: str, mentions: dict[str, tuple[str, str]] | None = None, **members: Any) -> dict[str, Any]:
        def units(evidence: str) -> int:
            return len(text[: text.index(evidence)].encode("utf-16-le")) // 2

        dimensions = [
            {
                "dimension": key,
                "sentiment": sentiment,
                "confidence": 0.9,
                "evidence": evidence,
                "start": units(evidence),
                "end": units(evidence) + len(evidence.encode("utf-16-le")) // 2,
                "owner": "值班经理",
            }
            for key, (sentiment, evidence) in (mentions or {}).items()
        ]
        return {
            "schema": 1,
            "model": "cinesent-zh@1a2b3c4d",
            "id": None,
            "overall": {"sentiment": "negative", "confidence": 0.97},
            "intent": {"label": "complaint", "confidence": 0.91},
            "escalation": {"label": False, "confidence": 0.84},
            "dimensions": dimensions,
            "uncertain": False,
            "script": "hans",
            "tokens": 9,
            "windows": 1,
            "truncated": False,
            "status": "ok",
        } | members

    return build


@pytest.fixture(scope="session")
def sample() -> Path:
    return Path(__file__).parents[2] / "data" / "samples" / "reviews.csv"
