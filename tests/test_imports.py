"""The import rules of the house, and that nothing on the way from a text to its record touches the network."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import sentiment

ROOT = Path(__file__).parent.parent
# What `sentiment` may never import: what it must run without.
HEAVY = ("torch", "transformers", "datasets", "sklearn", "fastapi", "uvicorn", "accelerate", "onnx", "jieba", "snownlp")
# Only this module may import ray, an extra; it is loaded where `--engine ray` asks for it.
RAY = Path("sentiment") / "distributed.py"
# The one exception to "sentiment imports neither serve nor training": inside the functions of a verb.
ABOVE = ("serve", "training")
VERBS = ROOT / "sentiment" / "cli"

OFFLINE = """
    import socket, sys

    class Refused(socket.socket):
        def __init__(self, *args, **kwargs):
            raise AssertionError("expected no socket, found one")

    socket.socket = socket.create_connection = socket.getaddrinfo = Refused
"""


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[str, int, bool, bool]]:
    """(module, line, whether inside a function, whether for the type checker only) of every import."""

    def walk(node: ast.AST, inside: bool, typing: bool) -> Iterator[tuple[str, int, bool, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, inside, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative imports are not our style"
                yield (child.module or "", child.lineno, inside, typing)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                checking = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
                yield from walk(child, inside or function, typing or checking)

    yield from walk(ast.parse(path.read_text("utf-8")), False, False)


def _breaches(package: str, forbidden: tuple[str, ...], *, verbs_may: bool = False) -> list[str]:
    found = []
    for path in _modules(package):
        for module, line, inside, typing in _imports(path):
            allowed = typing or (verbs_may and inside and path.parent == VERBS)
            if module.partition(".")[0] in forbidden and not allowed:
                found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    return found


def test_sentiment_imports_neither_serve_nor_training_outside_the_verbs() -> None:
    assert _breaches("sentiment", ABOVE, verbs_may=True) == []


def test_sentiment_imports_nothing_heavy() -> None:
    assert _breaches("sentiment", tuple(name for name in HEAVY if name not in ("uvicorn", "jieba"))) == []
    inside = [path for path in _breaches("sentiment", ("jieba",)) if not path.startswith("sentiment/report/")]
    assert inside == []
    assert _breaches("sentiment", ("uvicorn",), verbs_may=True) == []
    client = [breach.split(":")[0] for breach in _breaches("sentiment", ("httpx",))]
    assert client == ["sentiment/client_calls.py"]


def test_the_report_is_imported_by_its_verb_alone() -> None:
    report = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in _modules("sentiment")
        for module, _, inside, typing in _imports(path)
        if module.startswith("sentiment.report") and not typing
        if path.parent.name != "report" and not (inside and path.parent == VERBS)
    }
    assert report == set()


def test_ray_is_imported_in_one_module_only() -> None:
    found = _breaches("sentiment", ("ray",)) + _breaches("serve", ("ray",)) + _breaches("training", ("ray",))
    assert {line.partition(":")[0] for line in found} == {str(RAY)}


def test_openvino_is_imported_in_one_module_only() -> None:
    """Where scales of int8 are made."""
    found = [line for package in ("sentiment", "serve", "training") for line in _breaches(package, ("openvino",))]
    assert {line.partition(":")[0] for line in found} == {str(Path("training") / "int8.py")}


def test_serve_and_training_do_not_import_each_other() -> None:
    assert _breaches("serve", ("training", *(name for name in HEAVY if name not in ("fastapi", "uvicorn")))) == []
    assert _breaches("training", ("serve", "fastapi", "uvicorn")) == []


def test_no_package_imports_tests_or_benchmarks() -> None:
    for package in ("sentiment", "serve", "training"):
        assert _breaches(package, ("tests", "benchmarks", "pytest", "hypothesis")) == []


@pytest.mark.parametrize("package", ["sentiment", "serve", "training"])
def test_what_is_imported_is_declared(package: str) -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    own = {
        "sentiment": extras["client"],
        "serve": extras["serve"],
        "training": [*extras["train"], *extras["int8"]],
    }[package]
    # Distributions whose import names differ, and what a declared one always brings.
    names = {
        "pyyaml": ("yaml",),
        "fastapi": ("fastapi", "starlette", "pydantic", "pydantic_core", "anyio"),
        "scikit_learn": ("sklearn", "scipy", "threadpoolctl"),
        "transformers": ("transformers", "huggingface_hub"),
    }
    declared = set(sys.stdlib_module_names) | {"sentiment", "serve", "training"}
    for requirement in [*project["dependencies"], *own]:
        name = requirement.replace("[", ">").split(">")[0].strip().lower().replace("-", "_")
        declared |= set(names.get(name, (name,)))
    if package == "sentiment":
        declared |= {"uvicorn", "ray"}  # the tests above say where
    # In sentiment/report alone; jinja2 brings markupsafe.
    reporting = {name.split(">")[0].lower() for name in extras["report"]} | {"markupsafe"}
    missing = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in _modules(package)
        for module, _, _, typing in _imports(path)
        if not typing and module.partition(".")[0] not in declared
        if not (path.parent.name == "report" and module.partition(".")[0] in reporting)
    }
    assert missing == set()


def _run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_sentiment_is_cheap_and_silent() -> None:
    heavy = (*HEAVY, "ray", "onnxruntime", "pyarrow", "tokenizers", "opencc", "rich", "openpyxl")
    loaded = _run(
        f"""
        {textwrap.indent(textwrap.dedent(OFFLINE), " " * 8).strip()}
        import sentiment
        from sentiment import Analysis, Mention, load_taxonomy
        assert len(load_taxonomy().keys) == 18
        print(*(name for name in {heavy!r} if name in sys.modules))
        """
    )
    assert loaded.split() == []


def test_help_loads_nothing_heavy() -> None:
    loaded = _run(
        f"""
        import sys
        from sentiment.cli import main
        for arguments in (["--help"], ["score", "--help"], ["serve", "--help"]):
            main(arguments, standalone_mode=False)
        print("loaded:", *(name for name in {(*HEAVY, "ray", "onnxruntime", "pyarrow")!r} if name in sys.modules))
        """
    )
    assert loaded.splitlines()[-1].removeprefix("loaded:").split() == []


def test_the_embedded_checkpoint_answers_without_a_socket() -> None:
    answer = _run(
        f"""
        {textwrap.indent(textwrap.dedent(OFFLINE), " " * 8).strip()}
        from sentiment import Analyzer
        analysis = Analyzer.load().analyze("座椅太硬，坐得腰疼，前台态度也很差！")
        assert analysis.status == "ok"
        print(analysis.overall, *(mention.dimension for mention in analysis.dimensions))
        print(*(name for name in {HEAVY!r} if name in sys.modules))
        """
    )
    labels, heavy = answer.split("\n")[:2]
    assert labels.split()[0] == "negative"
    assert "seating" in labels.split()
    assert heavy == ""


def test_the_public_names_are_there() -> None:
    for name in sentiment.__all__:
        assert getattr(sentiment, name) is not None
    assert len(sentiment.__all__) <= 14
    with pytest.raises(AttributeError):
        _ = sentiment.nothing
