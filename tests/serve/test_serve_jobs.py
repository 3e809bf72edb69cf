"""The table of jobs, and `serve.score_file` itself."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import xlsxwriter
from click.testing import CliRunner
from file_scripts import CSV

from sentiment.checkpoint import CheckpointError
from sentiment.cli import main
from sentiment.client import AsyncClient
from sentiment.int8 import exact_products
from sentiment.parts import StoppedError
from sentiment.tables import TableError
from sentiment.taxonomy import Taxonomy
from serve import files
from serve.jobs import FullError, Jobs
from serve.rows import Job, now
from serve.score_file import Task, _reason, _report
from serve.settings import Settings
from serve.store import Store

pytestmark = pytest.mark.anyio


def _job(identifier: str, **values: Any) -> Job:
    return Job(
        **{
            **{"id": identifier, "status": "queued", "name": "a.csv", "size": 1, "by": None, "created": now()},
            **{"options": {"input": "input.csv", "format": "csv"}, **values},
        }
    )


def test_jobs_are_claimed_by_one_process_each(database: str, tmp_path: Path) -> None:
    stores = [Store(database) for _ in range(2)]
    one, two = (Jobs(store, Settings(data_dir=tmp_path)) for store in stores)
    for number in range(3):
        one.add(_job(f"{number:032x}", created=now() + timedelta(seconds=number)))
    claimed = [jobs._claim() for jobs in (one, two, two, one)]
    assert [job and job.id for job in claimed] == [f"{0:032x}", f"{1:032x}", f"{2:032x}", None]
    for store in stores:
        store.close()


def test_jobs_are_never_more_than_allowed_although_two_come_at_once(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [Store(database) for _ in range(2)]
    one, two = (Jobs(store, Settings(data_dir=tmp_path, max_jobs=1)) for store in stores)
    refused: list[bool] = []
    check = one._check_room

    def add() -> None:
        try:
            two.add(_job("2" * 32))
        except FullError:
            refused.append(True)

    other = threading.Thread(target=add)

    def meanwhile(session: Any) -> None:
        check(session)
        other.start()
        other.join(0.3)  # enough for a job that nothing keeps back

    monkeypatch.setattr(one, "_check_room", meanwhile)
    one.add(_job("1" * 32))
    other.join(60)
    assert refused == [True]
    for store in stores:
        store.close()


def test_jobs_sweep_what_is_old_and_what_belongs_to_none(database: str, tmp_path: Path) -> None:
    store = Store(database)
    jobs = Jobs(store, Settings(data_dir=tmp_path, file_retention=2))
    old, new, running, none = (f"{number:032x}" for number in range(4))
    for identifier, days in ((old, 3), (new, 1)):
        jobs.add(_job(identifier, status="done", finished=now() - timedelta(days=days)))
    jobs.add(_job(running, status="running"))
    for identifier in (old, new, running, none):
        jobs.place(identifier).mkdir(parents=True)
        os.utime(jobs.place(identifier), (0, 0))
    (jobs.folder / "upload").mkdir()
    jobs.sweep()
    assert {path.name for path in jobs.folder.iterdir()} == {new, running, "upload"}
    assert jobs.find(old) is None
    store.close()


def test_files_reasons_are_in_the_words_of_the_form() -> None:
    assert _reason(TableError("expected a column; give --text-col")) == "expected a column; give text_col"
    assert (
        _reason(StoppedError("stopped: the disk is full; finished blocks are kept in x")) == "stopped: the disk is full"
    )
    for error in (KeyError, ValueError, CheckpointError):
        assert _reason(error("座椅太硬, /opt/checkpoint")) == f"internal error, {error.__name__}"
    assert _reason(TableError("found a\0b\udc80")) == "found a\ufffdb\ufffd", "no database keeps those"


def test_files_suffixes_are_ours() -> None:
    assert files._suffix("a.CSV.gz") == ".csv.gz"
    assert files._suffix("../../x.sh") == ""
    assert files._suffix(None) == ""
    assert files._display_name("C:\\secret\\\udc80\x00评.csv") == "_评.csv"
    assert files._display_name("...") == "file"


class _Kept(httpx.AsyncBaseTransport):
    """Another client's transport, which stays open when this one's client closes it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._transport.handle_async_request(request)
        return response


@pytest.mark.parametrize("runtime", ["auto", "onnxruntime"])
async def test_files_are_scored_by_the_engine_of_the_command_line(
    connect: Any, fake: Any, data_folder: Path, tmp_path: Path, runtime: str
) -> None:
    content = CSV + "坏,行,多\n".encode() + b"=1+1,3\n"
    (tmp_path / "a.csv").write_bytes(content)
    command = ["score", str(tmp_path / "a.csv"), "-o", str(tmp_path / "b.csv"), "--lang", "zh"]
    done = CliRunner().invoke(main, [*command, "--runtime", runtime])
    assert done.exit_code == 1, done.output
    seen = []
    async with connect(fake, runtime=runtime) as client:
        async with AsyncClient(str(client.base_url), transport=_Kept(client._transport)) as caller:
            sent = await caller.upload(tmp_path / "a.csv", lang="zh")
            found = await caller.wait(sent, progress=seen.append, timeout=400)
            assert (found.rows_done, found.rows_total, found.rows_rejected) == (3, 3, 1)
            assert found.links == ("result", "rejects", "report") and seen[-1] == found
            await caller.download(found, tmp_path / "c.csv")
        job = (await client.get(f"/v1/files/{sent.id}")).json()
        assert job["detail"] is None
        assert job["rows"] == {"done": 3, "total": 3, "rejected": 1}
        assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
        result = await client.get(job["links"]["result"])
        assert result.content == (tmp_path / "b.csv").read_bytes()
        rejects = await client.get(job["links"]["rejects"])
        assert json.loads(rejects.text)["row"] == 3
    rows = list(csv.reader(io.StringIO(result.content.decode("utf-8-sig"))))
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("lang", "model", "taxonomy"), [("en", "/model", None), ("zh", None, "/own.yaml"), ("zh", "/model", "/own.yaml")]
)
def test_files_report_in_the_language_and_label_space_of_the_job(
    monkeypatch: pytest.MonkeyPatch, lang: str, model: str | None, taxonomy: str | None
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("sentiment.cli.main", lambda arguments, standalone_mode: seen.extend(arguments))
    _report(Path("result.csv"), Task("", "", {"lang": lang}, model, taxonomy, None, 1, 1, 1), "追评", "编号")
    expected = ["report", "result.csv", "-o", "report.html", "--overwrite", "--lang", lang, "--text-col", "追评"]
    expected += ["--id-col", "编号"]
    expected += ["--model", model] if model else []
    expected += ["--taxonomy", taxonomy] if taxonomy else []
    assert seen == expected


def _bursting() -> bytes:
    """A workbook of 10 kB that unpacks to no more than it may, and would need hundreds of megabytes when it is read."""
    book = io.BytesIO()
    with xlsxwriter.Workbook(book) as sound:
        sound.add_worksheet().write_column(0, 0, ["评论", "座椅太硬"])
    bomb = io.BytesIO()
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"</row>", b"<c/>" * 3_000_000 + b"</row>", 1))
    return bomb.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("input.csv", CSV, "expected at most 1 rows, found more; split the file"),
        ("input.xlsx", _bursting(), "expected a workbook as Excel writes it, found input.xlsx with more than 131,072 "),
    ],
    ids=["rows", "bomb"],
)
def test_files_that_are_too_much_fail(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """In a process of its own, as it changes the folder and bounds what the process may do."""
    (tmp_path / name).write_bytes(content)
    options = {"format": "csv", "layout": "wide", "lang": "en", "overwrite": False}
    task = Task(str(tmp_path), name, options, None, None, 1, 1, 2 << 30, 1 << 30)
    assert _scored(task)["failed"].startswith(reason)


def _scored(task: Task) -> dict[str, Any]:
    """What the process says in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "serve.score_file"],
        cwd=Path(files.__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        process.stdin.flush()
        *_, last = process.stdout
        assert process.wait(60) == 0
    found: dict[str, Any] = json.loads(last)
    return found


def test_files_go_on_from_an_unfinished_folder_and_leave_their_escalations(tmp_path: Path) -> None:
    """With the packaged checkpoint. The process before was killed when it had made the folder and nothing in it."""
    (tmp_path / "result.csv.partial").mkdir()
    (tmp_path / "escalations.jsonl").write_text("of the process before")
    text = "放映厅台阶没有灯，我妈摔倒骨折了，找经理没人管，要求赔偿，否则投诉到消协！"
    (tmp_path / "input.csv").write_text(f"评论,编号\n爆米花很香,a\n{text},b\n,c\n", "utf-8")
    options = {"format": "csv", "layout": "wide", "lang": "en", "overwrite": False}
    task = Task(str(tmp_path), "input.csv", options, None, None, 1, 10, 2 << 30, 1 << 30, escalations=True)
    assert _scored(task) == {"done": {"rows": 3, "rejected": 0}}
    (line,) = (tmp_path / "escalations.jsonl").read_text("utf-8").splitlines()
    found = json.loads(line)
    assert (found["text"], found["record"]["id"]) == (text, "b")
    assert found["record"]["escalation"]["label"] is True
    for mention in found["record"]["dimensions"]:
        assert text[mention["start"] : mention["end"]] == mention["evidence"]


def test_files_options_decide_the_result(tmp_path: Path, tiny_checkpoint: Path, taxonomy: Taxonomy) -> None:
    """As the same ones do on the command line, each of which would give another result by itself."""
    with xlsxwriter.Workbook(tmp_path / "input.xlsx") as book:
        for sheet, word in (("甲", "座椅太硬"), ("乙", "票价太贵")):
            rows = [
                ["评论", "回复", "编号", "单号", "cs_overall"],
                [f"{word}，坐得腰疼", f"{word}，请退款", "1", f"{sheet}1", "old"],
                ["音响震撼", "前台小姐姐很热情", "2", f"{sheet}2", "old"],
            ]
            page = book.add_worksheet(sheet)
            for number, row in enumerate(rows):
                page.write_row(number, 0, row)
    own = tmp_path / "own.yaml"
    lines = (f"  - {{key: {key}, zh: 甲{key}, owner: {key}的主管}}\n" for key in taxonomy.keys)
    own.write_text("dimensions:\n" + "".join(lines), "utf-8")
    options = {"text_col": "回复", "id_col": "单号", "sheet": "乙", "layout": "long", "lang": "zh"}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    flags += ["--overwrite", f"--model={tiny_checkpoint}", f"--taxonomy={own}", "-o", str(tmp_path / "expected.csv")]
    done = CliRunner().invoke(main, ["score", str(tmp_path / "input.xlsx"), *flags])
    assert done.exit_code == 0, done.output
    task = Task(
        *(str(tmp_path), "input.xlsx", {**options, "format": "csv", "overwrite": True}),
        *(str(tiny_checkpoint), str(own), 1, 10, 2 << 30, 1 << 30),
    )
    assert _scored(task) == {"done": {"rows": 2, "rejected": 0}}
    assert (tmp_path / "result.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    found = list(csv.DictReader(io.StringIO((tmp_path / "result.csv").read_text("utf-8-sig"))))
    assert {line["文本编号"] for line in found} == {"乙1", "乙2"}
    assert {line["责任部门"].removesuffix("的主管") for line in found} <= {"", *taxonomy.keys}
    assert any(line["依据起点"] and line["服务维度"].startswith("甲") for line in found)


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-int8"])
def test_files_begin_anew_where_the_runtime_is_another(tmp_path: Path, int8_checkpoint: Path, runtime: str) -> None:
    """A process in int8 was killed after a block; the next one is told to go on, or to score in float32."""
    rows = "".join(f"座椅太硬，坐得腰疼{'。' * (number % 7)},{number}\n" for number in range(2000))
    folders = {name: tmp_path / name for name in ("killed", "fresh")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "input.csv").write_text(f"评论,编号\n{rows}", "utf-8")
    options = {"format": "csv", "layout": "wide", "lang": "zh", "overwrite": False}
    task = Task(
        *(str(folders["killed"]), "input.csv", options, str(int8_checkpoint), None, 1, 2000, 2 << 30, 1 << 30),
        runtime="onnxruntime-int8",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "serve.score_file"], cwd=Path(files.__file__).parent.parent, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        process.stdin.flush()
        assert "progress" in json.loads(process.stdout.readline())
        process.kill()
    assert list((folders["killed"] / "result.csv.partial").glob("part-*"))
    assert not (folders["killed"] / "result.csv").exists()
    for folder in folders.values():
        found = _scored(replace(task, folder=str(folder), runtime=runtime))
        assert found == {"done": {"rows": 2000, "rejected": 0}}
    killed, fresh = ((folder / "result.csv").read_bytes() for folder in folders.values())
    assert killed == fresh


def test_files_scoring_ends_with_the_service(tmp_path: Path) -> None:
    task = Task(str(tmp_path), "missing.csv", {}, None, None, 1, 1, 2 << 30, 1 << 30)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import serve.score_file as s; s.run = lambda task: s.threading.Event().wait(); s.main()",
        ],
        cwd=Path(files.__file__).parent.parent,
        input=json.dumps(asdict(task)).encode() + b"\n",
        stdout=subprocess.PIPE,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, b"")
