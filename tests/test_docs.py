"""Each page of docs/ and its Chinese one say the same, as far as a program can tell, and lead to one another."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import tables
from sentiment.taxonomy import load_taxonomy
from training.quality_tables import Language

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
PAGES = sorted(path.stem for path in DOCS.glob("*.md") if not path.stem.endswith(".zh"))
# Comments in its commands are translated; elsewhere blocks are the same to the byte.
TRANSLATED = {"report"}
_BLOCK = re.compile(r"(?:^<!-- [^\n]*? -->\n+)?^(?P<indent> *)```\w+\n.*?^(?P=indent)```$", re.DOTALL | re.MULTILINE)


def _page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def _blocks(text: str) -> list[str]:
    return [found[0] for found in _BLOCK.finditer(text)]


def _prose(text: str) -> str:
    return _BLOCK.sub("", text)


def _options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", _prose(text)))


def _tables(text: str) -> list[tuple[int, int]]:
    """Rows and columns of each table."""
    found = re.findall(r"(?:^\|.*\|$\n?)+", _prose(text), re.MULTILINE)
    return [(len(rows), rows[0].count("|")) for table in found if (rows := table.splitlines())]


def test_docs_has_no_page_in_one_language_only() -> None:
    assert len(PAGES) >= 6
    assert sorted(DOCS.glob("*.md")) == sorted(DOCS / f"{name}{lang}.md" for name in PAGES for lang in ("", ".zh"))


@pytest.mark.parametrize("name", PAGES)
def test_docs_pages_have_the_same_sections_and_tables(name: str) -> None:
    english, chinese = _page(f"{name}.md"), _page(f"{name}.zh.md")
    levels = [re.findall(r"^(#+) ", _prose(text), re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    assert levels[0].count("##") >= 4
    assert _tables(english) == _tables(chinese)
    items = [len(re.findall(r"^- ", _prose(text), re.MULTILINE)) for text in (english, chinese)]
    assert items[0] == items[1]


@pytest.mark.parametrize("name", PAGES)
def test_docs_pages_have_the_same_code(name: str) -> None:
    blocks = [_blocks(_page(page)) for page in (f"{name}.md", f"{name}.zh.md")]
    assert blocks[0]
    if name in TRANSLATED:
        blocks = [[re.sub(r"\s+#.*$", "", block, flags=re.MULTILINE) for block in page] for page in blocks]
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize("name", PAGES)
def test_docs_pages_name_the_same_options_and_markers(name: str) -> None:
    english, chinese = _page(f"{name}.md"), _page(f"{name}.zh.md")
    assert _options(english) == _options(chinese)
    markers = [Counter(re.findall(r"<!-- .*? -->", text)) for text in (english, chinese)]
    assert markers[0] == markers[1]


@pytest.mark.parametrize("name", PAGES)
def test_docs_pages_lead_to_one_another(name: str) -> None:
    assert _page(f"{name}.md").splitlines()[2] == f"[中文]({name}.zh.md)"
    assert _page(f"{name}.zh.md").splitlines()[2] == f"[English]({name}.md)"
    for readme, page in (("README.md", f"{name}.md"), ("README.zh.md", f"{name}.zh.md")):
        assert f"](docs/{page})" in (ROOT / readme).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_docs_chinese_pages_stay_in_chinese(name: str) -> None:
    """No link but the one at the top leads from a Chinese page to an English one that has a Chinese one."""
    for page in ("README.zh.md", f"docs/{name}.zh.md"):
        body = (ROOT / page).read_text("utf-8").split("\n", 3)[3]
        targets = {target.partition("#")[0].rpartition("/")[2] for target in re.findall(r"\]\(([^)\s]+)\)", body)}
        assert not targets & {f"{other}.md" for other in PAGES}


@pytest.mark.parametrize("page", ["scale.md", "scale.zh.md"])
def test_docs_scale_names_the_benchmark_that_takes_a_checkpoint(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The paragraph is on the other one, which takes none."""
    text = _page(page)
    ((english, chinese),) = re.findall(r"`--model` of `(benchmarks\.\w+)`|`(benchmarks\.\w+)` 的 `--model`", text)
    assert text.count("--model") == 1
    with pytest.raises(SystemExit):
        importlib.import_module(english or chinese).main(["--help"])
    assert "--model DIR" in capsys.readouterr().out


def _renewed(text: str, path: Path, lang: Language, results: Path) -> str:
    return tables.renewed(text, path, lang, [], results, load_taxonomy())


@pytest.mark.parametrize("path", tables.TUTORIALS, ids=str)
def test_docs_tutorials_show_the_figures_that_were_measured(path: Path, tmp_path: Path) -> None:
    """In both languages, and renewed by the script that renews all tables."""
    (lang,) = (lang for target, lang in tables.TARGETS if target == path)
    shown = (ROOT / path).read_text("utf-8")
    assert _renewed(shown, path, lang, RESULTS) == shown
    unmeasured = _renewed(shown, path, lang, tmp_path)
    assert {"en": "Not measured yet.", "zh": "尚未评测。"}[lang] in unmeasured
    assert "puzzles` |" not in unmeasured
