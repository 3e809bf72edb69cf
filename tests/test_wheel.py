"""What is installed from a built wheel, without any extra, scores the sample; and it is all that is needed."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sentiment
from sentiment.runtimes import choose_runtime
from sentiment.taxonomy import load_taxonomy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "samples" / "reviews.csv"
SOURCES = ("benchmarks", "data", "docs", "sentiment", "serve", "tests", "training")
MOST_BYTES = 60_000_000
# What only extras bring, and what a base installation must do without.
EXTRA = ("torch", "transformers", "datasets", "sklearn", "fastapi", "uvicorn", "onnx", "jieba", "pytest", "ray")


def _run(command: list[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=170,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sdist and wheel, the wheel made from the sdist, both from a copy of the sources."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, source])
    return dist


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def _distributions(requirements: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """The installed distributions that satisfy the requirements, with all that they need in turn."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        extras = requirement.extras or {""}
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found[name] = importlib.metadata.distribution(name)
        for text in found[name].requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                inner.marker = None
                waiting.append(inner)
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment: the wheel, and what its metadata requires, taken from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    windows = os.name == "nt"
    python = folder / ("Scripts/python.exe" if windows else "bin/python")
    site = Path(_run([python, "-c", "import site; print(site.getsitepackages()[-1])"]).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().split("\n\n")[0].splitlines()
    requirements = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    for distribution in _distributions(requirements).values():
        for top in {path.parts[0] for path in distribution.files or () if path.parts[0] not in ("..", "__pycache__")}:
            source, target = Path(str(distribution.locate_file(top))), site / top
            if target.exists():
                continue
            if windows:
                (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
            else:
                target.symlink_to(source)
    _run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel])
    return python


def test_the_wheel_holds_what_it_needs_and_no_more(built: Path, wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in (
        *("sentiment/taxonomy.yaml", "sentiment/py.typed", "sentiment/cli/score.py", "sentiment/tables/csv_reader.py"),
        *(f"sentiment/model/{file}" for file in ("config.json", "tokenizer.json", "model.onnx", "README.md")),
        *("sentiment/model/int8.onnx", "sentiment/model/int8.safetensors", "sentiment/int8_product.onnx"),
        *(f"serve/page/{path.name}" for path in (ROOT / "serve" / "page").iterdir()),
        *("serve/app.py", "training/model.py"),
    ):
        assert name in names
    assert {name.partition("/")[0] for name in names} == {
        *("sentiment", "serve", "training"),
        f"cinesent-{sentiment.__version__}.dist-info",
    }
    assert {Path(name).name for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "README.zh.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE"} <= packed
    assert {"constraints.txt", "data/samples/reviews.csv", "tests/test_wheel.py", "tests/serve/conftest.py"} <= packed


def test_a_base_installation_scores_the_sample(python: Path, tmp_path: Path) -> None:
    code = f"from importlib.util import find_spec; print(*(name for name in {EXTRA!r} if find_spec(name) is not None))"
    assert _run([python, "-c", code], cwd=tmp_path).stdout.split() == []
    _run([sys.executable, "-m", "pip", "--python", python, "check"])

    cinesent = python.with_name("cinesent.exe" if os.name == "nt" else "cinesent")
    assert _run([cinesent, "--version"], cwd=tmp_path).stdout.split()[-1] == sentiment.__version__
    automatic = {name: value for name, value in os.environ.items() if name != "CINESENT_RUNTIME"}
    done = _run([cinesent, "score", SAMPLE, "-o", "scored.csv"], cwd=tmp_path, env=automatic)
    assert "cinesent-zh@" in done.stderr and str(choose_runtime("auto")) in done.stderr
    with SAMPLE.open(encoding="utf-8-sig", newline="") as lines:
        sent = list(csv.DictReader(lines))
    with (tmp_path / "scored.csv").open(encoding="utf-8-sig", newline="") as lines:
        scored = list(csv.DictReader(lines))
    assert [row["日期"] for row in scored] == [row["日期"] for row in sent]
    assert {row["cs_status"] for row in scored} == {"ok", "empty", "not_chinese"}
    keys = load_taxonomy().keys
    for row, before in zip(scored, sent, strict=True):
        assert row["cs_overall"] in (("positive", "neutral", "negative") if row["cs_status"] == "ok" else ("",))
        for key in keys:
            assert row[f"cs_{key}"] in ("", "positive", "neutral", "negative")
            assert bool(row[f"cs_{key}"]) == bool(row[f"cs_{key}_evidence"])
            assert row[f"cs_{key}_evidence"].removeprefix("'") in before["评论"]
    assert sum(bool(row[f"cs_{key}"]) for row in scored for key in keys) > 60


def test_a_missing_extra_is_named(python: Path, tmp_path: Path) -> None:
    for verb, extra in (("serve", "serve"), ("train", "train")):
        arguments = ["train", "--data", "x.csv", "-o", "run"] if verb == "train" else [verb]
        command = [str(python), "-c", "from sentiment.cli import main; main()", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=60)
        assert done.returncode == 2
        assert f"cinesent[{extra}]" in done.stderr
