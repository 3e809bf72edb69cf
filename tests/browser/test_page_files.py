"""Files on the page: dropped, followed, taken back."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
import xlsxwriter

pytestmark = pytest.mark.browser

ID = "0123456789abcdef0123456789abcdef"
JOB = f"/v1/files/{ID}"


def _job(status: str, done: int = 0, **members: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    job = {
        "id": ID,
        "status": status,
        "name": "reviews.csv",
        "size": 9,
        "created": "2026-03-01T08:30:00+00:00",
        "finished": None,
        "expires": None,
        "progress": done / 12000,
        "rows": {"done": done, "total": 12000, "rejected": 0},
        "detail": None,
        "links": {"self": JOB},
    }
    return 200, job | members, {}


def _choose(found: Any, name: str = "reviews.csv", content: bytes = "评论\n座椅太硬\n".encode()) -> Any:
    found.page.set_input_files("#choose", files=[{"name": name, "mimeType": "text/csv", "buffer": content}])
    return found.page.locator(".job").first


def _write(path: Path, rows: list[list[str]]) -> None:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            csv.writer(stream).writerows(rows)
        return
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("评论")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)


def _read(path: Path) -> list[list[str]]:
    if path.suffix == ".csv":
        return list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sheet = openpyxl.load_workbook(path).active
    return [["" if cell is None else cell for cell in row] for row in sheet.iter_rows(values_only=True)]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_files_go_all_the_way(visit: Any, service: str, sample: Path, tmp_path: Path, kind: str) -> None:
    rows = list(csv.reader(sample.read_text("utf-8-sig").splitlines()))[:12]
    _write(tmp_path / f"reviews.{kind}", rows)
    found = visit(path="#file")
    page = found.page
    page.select_option("#output-format", kind)
    page.set_input_files("#choose", tmp_path / f"reviews.{kind}")
    page.wait_for_selector(".job .state.done", timeout=300_000)
    assert "11 / 11 行" in page.locator(".job").text_content()
    with page.expect_download() as download:
        page.click('[data-link="result"]')
    assert download.value.suggested_filename == f"reviews.scored.{kind}"
    download.value.save_as(tmp_path / f"scored.{kind}")
    header, *scored = _read(tmp_path / f"scored.{kind}")
    assert [row[: len(rows[0])] for row in (header, *scored)] == rows
    assert {row[header.index("整体情感")] for row in scored} >= {"正面", "负面"}
    assert page.locator('[data-link="report"]').count() == 1
    identifier = page.evaluate("JSON.parse(sessionStorage.getItem('cinesent.jobs'))[0].state.id")
    assert httpx.get(f"{service}v1/files/{identifier}").status_code == 200
    page.click("text=删除")
    page.wait_for_selector(".job", state="detached")
    assert httpx.get(f"{service}v1/files/{identifier}").status_code == 404
    assert found.console == []


def test_files_show_how_far_they_are(visit: Any) -> None:
    found = visit(path="#file")
    page = found.page
    found.answer("/v1/files", (202, _job("queued")[1], {}))
    found.answer(JOB, *[_job("queued")] * 2, *[_job("running", 4096)] * 3, _job("done", 12000))
    job = _choose(found)
    page.wait_for_selector("progress:not([value])")
    assert "排队中" in job.text_content()
    page.wait_for_selector("progress[value]")
    assert job.locator("progress").evaluate("(bar) => Math.round(100 * bar.value)") == 34
    assert job.locator("progress").get_attribute("aria-label") == "reviews.csv 的进度"
    assert "4,096 / 12,000 行" in job.text_content()
    page.wait_for_selector(".state.done")
    assert job.locator("progress").count() == 0
    found.wait("document.querySelector('#announcer').textContent === 'reviews.csv 已完成'")


def test_files_link_to_what_the_job_offers(visit: Any) -> None:
    found = visit(path="#file", locale="en-GB")
    links = {"self": JOB, "result": f"{JOB}/result", "report": f"{JOB}/report", "rejects": f"{JOB}/rejects"}
    rows = {"done": 12000, "total": 12000, "rejected": 3}
    found.answer("/v1/files", (202, _job("done", links=links, rows=rows)[1], {}))
    job = _choose(found)
    job.locator(".state.done").wait_for()
    hrefs = {
        link: job.locator(f'[data-link="{link}"]').get_attribute("href") for link in ("result", "report", "rejects")
    }
    assert hrefs == {link: f"v1/files/{ID}/{link}" for link in hrefs}
    assert job.locator('[data-link="report"]').get_attribute("target") == "_blank"
    assert "3 rows could not be read" in job.text_content()


def test_files_that_fail_say_why(visit: Any) -> None:
    found = visit(path="#file")
    found.answer("/v1/files", (202, _job("failed", detail="expected a text column, found none")[1], {}))
    job = _choose(found)
    job.locator(".state.failed").wait_for()
    assert "没有完成" in job.text_content()
    assert "请检查文件" in job.text_content()
    assert "expected a text column, found none" in job.text_content()
    assert job.locator("[data-link]").count() == 0


def test_files_that_are_no_table_are_refused(visit: Any) -> None:
    found = visit(path="#file")
    job = _choose(found, "film.xlsx", b"PK\x03\x04 no zip at all")
    job.locator('[data-status="422"]').wait_for()
    assert "这不是能读的表格" in job.text_content()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((413, {"code": "body_too_large"}, {}), "文件最大 64 MB"),
        ((503, {"code": "disk_full"}, {}), "磁盘满了"),
        ((0, None, {}), "连不上服务"),
    ],
)
def test_files_that_are_not_taken_are_explained(visit: Any, answer: Any, words: str) -> None:
    found = visit(path="#file")
    found.wait("document.querySelector('#file-most').textContent.includes('64 MB')")
    found.answer("/v1/files", answer)
    job = _choose(found)
    job.locator(".notice").wait_for()
    assert words in job.text_content()
    assert "没有完成" in job.text_content()
    job.locator("text=删除").click()
    assert found.page.locator(".job").count() == 0


def test_files_wait_while_the_service_is_busy(visit: Any) -> None:
    found = visit(path="#file")
    busy = (429, {"code": "queue_full"}, {"Retry-After": "1"})
    count = found.answer("/v1/files", busy, (202, _job("queued")[1], {}))
    found.answer(JOB, _job("running", 1), (0, None, {}), busy, _job("done", 12000))
    job = _choose(found)
    job.locator('[data-status="429"]').wait_for()
    job.locator('[data-status="0"]').wait_for()
    job.locator("text=再试一次").click()
    job.locator(".state.done").wait_for()
    assert count == [2]
    assert job.locator(".notice").count() == 0


def test_files_are_still_there_after_a_reload(visit: Any) -> None:
    found = visit(path="#file")
    found.answer("/v1/files", (202, _job("queued")[1], {}))
    found.answer(JOB, _job("running", 6000), (404, {"code": "not_found"}, {}))
    _choose(found).locator("progress[value]").wait_for()
    found.page.reload()
    job = found.page.locator(".job")
    job.locator(".state.gone").wait_for()
    assert "已从服务器删除" in job.text_content()
    found.page.reload()
    assert found.page.locator(".job").count() == 0
    assert found.page.locator("#view-file").is_visible()


def test_files_may_be_dropped_anywhere(visit: Any) -> None:
    found = visit()
    found.answer("/v1/files", (202, _job("done", 12000)[1], {}))
    data = found.page.evaluate_handle(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(['评论\\n座椅硬\\n'], 'reviews.csv', { type: 'text/csv' }));
            return data;
        }"""
    )
    found.page.dispatch_event("#text", "dragover", {"dataTransfer": data})
    assert found.page.locator(".dropping").is_visible()
    found.page.dispatch_event("#text", "drop", {"dataTransfer": data})
    found.page.wait_for_selector(".job .state.done")
    assert not found.page.locator(".dropping").is_visible()
    assert found.page.locator("#view-file").is_visible()


def test_files_of_a_key_are_fetched_with_it(visit: Any, tmp_path: Path) -> None:
    found = visit(load=False)
    found.page.add_init_script("sessionStorage.setItem('cinesent.key', 'right')")
    found.page.goto(found.url + "#file")
    links = {"self": JOB, "result": f"{JOB}/result"}
    found.answer("/v1/files", (202, _job("done", links=links)[1], {}))
    seen = []

    def result(route: Any) -> None:
        seen.append(route.request.headers.get("x-api-key"))
        name = "attachment; filename*=utf-8''%E5%9B%9B%E6%9C%88.scored.xlsx"
        route.fulfill(body=b"table", headers={"Content-Disposition": name})

    found.page.route(f"**{JOB}/result", result)
    job = _choose(found)
    with found.page.expect_download() as download:
        job.locator('[data-link="result"]').click()
    assert download.value.suggested_filename == "四月.scored.xlsx"
    download.value.save_as(tmp_path / "scored.xlsx")
    assert (tmp_path / "scored.xlsx").read_bytes() == b"table"
    assert seen == ["right"]


def test_files_names_are_only_text(visit: Any) -> None:
    found = visit(path="#file")
    name = "<img src=x onerror=window.hit=1>.csv"
    found.answer("/v1/files", (202, _job("failed", detail="<b>no</b>")[1], {}))
    job = _choose(found, name)
    job.locator(".state.failed").wait_for()
    assert job.locator(".name").text_content() == name
    assert "<b>no</b>" in job.text_content()
    assert found.page.locator(".job img, .job b").count() == 0
    assert found.page.evaluate("window.hit") is None
