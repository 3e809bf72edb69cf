"""Renews docs/report.png and docs/report.zh.png: the first screen of the sample's report, as a browser shows it.

Needs Chromium and `playwright`. Run it from the project's folder, with `python -m benchmarks.report_picture`.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.visits import REPAIR
from sentiment.report.build import build_report
from sentiment.report.model import Lang
from sentiment.report.page import write_page
from sentiment.report.read import read_scored
from sentiment.report.work import ReportOptions
from sentiment.taxonomy import load_taxonomy

ROOT = Path(__file__).parent.parent
SCORED = ROOT / "tests" / "report" / "visits.parquet"
PICTURES: dict[Lang, Path] = {"en": ROOT / "docs" / "report.png", "zh": ROOT / "docs" / "report.zh.png"}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


def main(since: dt.date = REPAIR) -> None:
    report = build_report(read_scored([SCORED], load_taxonomy()), ReportOptions(since=since))
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS.split())
        for lang, picture in PICTURES.items():
            path = Path(scratch) / f"{lang}.html"
            write_page(replace(report, meta=replace(report.meta, lang=lang)), path, rows=None)
            page = browser.new_page(viewport={"width": 1200, "height": 1500})
            page.set_default_timeout(180_000)
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]")
            end = page.locator("#figure-dimensions").bounding_box()
            height = 1300 if end is None else end["y"] + end["height"] + 16
            page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 1200, "height": height}, full_page=True)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
