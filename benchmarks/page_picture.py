"""Renews docs/page.png, what the READMEs show of the page: a complaint that the packaged checkpoint has read.

Needs Chromium and Playwright. Run it from the project's folder, with `python -m benchmarks.page_picture`.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

import uvicorn
from playwright.sync_api import ViewportSize, sync_playwright

from serve.app import create_app
from serve.settings import Settings

PICTURE = Path(__file__).parent.parent / "docs" / "page.png"
TEXT = (
    "周六晚上带老人来看，7号厅出口的灯坏了，我妈下台阶差点摔倒；找值班经理反映，对方爱理不理。"
    "音响震撼，爆米花又贵又不脆。要求给个说法，否则投诉到消协！"
)
SIZE: ViewportSize = {"width": 1280, "height": 900}
MOST_BYTES = 300_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(port=0, data_dir=Path(folder)))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started or app.state.worker.state != "ready":
                time.sleep(0.05)
            take(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/")
        finally:
            server.should_exit = True
            thread.join()
    size = PICTURE.stat().st_size
    print(f"{PICTURE}: {size} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"expected at most {MOST_BYTES} bytes, found {size}")


def take(url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_context(locale="zh-CN", viewport=SIZE, reduced_motion="reduce").new_page()
        page.goto(url)
        page.fill("#text", TEXT)
        page.click("#analyse")
        page.wait_for_selector(".verdict")
        page.mouse.move(5, SIZE["height"] - 5)
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
