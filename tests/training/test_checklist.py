"""The capability tests: enough of them, none of them trained on, and judged as they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentiment import Analysis, Analyzer, Mention, load_taxonomy
from sentiment.taxonomy import Taxonomy
from training.checklist import CASES, FOLDER, CapabilityTest, Case, holds, main, passes, read_tests, run_tests
from training.example import DatasetError
from training.labelled_files import read_jsonl
from training.near_duplicates import near_duplicate_groups

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def space() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="module")
def checks(space: Taxonomy) -> list[CapabilityTest]:
    return read_tests(FOLDER, space)


def record(**said: str) -> Analysis:
    mentions = tuple(
        Mention(dimension, sentiment, 0.9, "", 0, 0, "")  # type: ignore[arg-type]
        for dimension, sentiment in said.items()
    )
    return Analysis("m@1", None, "ok", "hans", overall="negative", intent="review", escalation=False,
                    dimensions=mentions)  # fmt: skip


def test_there_are_forty_tests_of_twenty_five_different_cases(checks: list[CapabilityTest]) -> None:
    assert len(checks) >= 40
    assert len({test.name for test in checks}) == len(checks)
    for test in checks:
        assert len({case.text for case in test.cases}) == len(test.cases) >= CASES, test.name
        assert all(case.expected and case.like != case.text for case in test.cases), test.name
    for capability in (
        "negation", "irony", "contrast", "typos", "homophones", "emoji only", "mixed English", "very long",
        "spaced-out characters", "repetition", "film against cinema", "reported speech", "hypothetical", "comparison",
    ):  # fmt: skip
        assert any(test.capability == capability for test in checks), capability


def test_templates_are_filled_the_same_way_every_time(space: Taxonomy, checks: list[CapabilityTest]) -> None:
    assert read_tests(FOLDER, space) == checks


def test_no_case_is_among_our_texts(checks: list[CapabilityTest]) -> None:
    written = [
        row["text"] for file in sorted((ROOT / "data" / "cinema").glob("*.jsonl")) for _, row in read_jsonl(file)
    ]
    cases = sorted({case.text for test in checks for case in test.cases if case.like is None and len(case.text) >= 10})
    groups = near_duplicate_groups([*written, *cases])
    known = set(groups[: len(written)])
    assert [case for case, group in zip(cases, groups[len(written) :], strict=True) if group in known] == []


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        ("seating-", True), ("seating+", False), ("seating!+", True), ("seating!-", False), ("price!-", True),
        ("!price", True), ("!seating", False), ("!service", False), ("overall-", True), ("overall+", False),
        ("intent=review", True), ("intent=complaint", False), ("escalate", False), ("!escalate", True),
        ("seating- film+ overall-", True), ("seating- film0", False),
    ],
)  # fmt: skip
def test_holds(space: Taxonomy, expected: str, right: bool) -> None:
    assert holds(record(seating="negative", film="positive"), expected, space) is right


def test_what_is_expected_must_be_understood(space: Taxonomy) -> None:
    with pytest.raises(DatasetError, match="expected parts such as seating-"):
        holds(record(), "seating", space, "a test")


def test_invariance_expects_every_clause_of_the_template(space: Taxonomy, checks: list[CapabilityTest]) -> None:
    changed = [case for test in checks for case in test.cases if case.like is not None]
    assert len(changed) >= 10 * CASES
    for case in changed:
        parts = case.expected.split()
        assert parts and {part[-1] for part in parts} <= {"+", "-"} and {part[:-1] for part in parts} <= set(space.keys)
        assert len({part[:-1] for part in parts}) == len(parts)


def test_invariance_fails_where_nothing_is_found_in_either_text(space: Taxonomy) -> None:
    case = Case("座 椅 太 硬", "seating-", like="座椅太硬")
    found, nothing = record(seating="negative"), record()
    more, other = record(seating="negative", price="negative"), record(seating="positive")
    for unchanged, changed, right in (
        (found, found, True), (more, more, True),
        (nothing, nothing, False),  # alike, and unread
        (other, other, False), (found, nothing, False), (found, more, False), (nothing, found, False),
    ):  # fmt: skip
        assert passes(case, {"座椅太硬": unchanged, "座 椅 太 硬": changed}, space) is right


def test_run_tests_counts_failures_and_changes_of_labels(tiny_checkpoint: Path) -> None:
    analyzer = Analyzer.load(tiny_checkpoint)
    said = analyzer.analyze("座椅太硬")
    cases = (Case("座椅太硬", f"overall{ {'positive': '+', 'neutral': '0', 'negative': '-'}[str(said.overall)] }"),
             Case("座椅太硬", "escalate" if not said.escalation else "!escalate"))  # fmt: skip
    same = (Case("座椅太硬", cases[0].expected, like="座椅太硬"), Case("座椅太硬", cases[1].expected, like="座椅太硬"))
    first, second = run_tests(analyzer, [CapabilityTest("a", "x", cases), CapabilityTest("b", "y", same)])
    assert (first["cases"], first["failures"], first["rate"], first["failed"]) == (2, 1, 0.5, ["座椅太硬"])
    assert second["failures"] == 1  # alike, but not as expected


def test_checklist_command(tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "tests", tmp_path / "out.json"
    folder.mkdir()
    (folder / "lexicon.yaml").write_text(
        "clauses: {seating: {negative: [座椅太硬]}}\nstory: {}\nfillers: []\n", "utf-8"
    )
    (folder / "tests.yaml").write_text('- {test: t, capability: c, cases: [[座椅太硬, "!escalate"]]}\n', "utf-8")
    options = ["--model", str(tiny_checkpoint), "--tests", str(folder), "--json", str(out)]
    assert main(options) == 0
    assert "in 1 tests" in capsys.readouterr().out
    assert main([*options, "--before", str(out)]) == 0
    (result,) = json.loads(out.read_text("utf-8"))["tests"]
    assert result["before"] == result["rate"]
    (folder / "tests.yaml").write_text("- {test: t, capability: c, template: '{a-}', expected: a-}\n", "utf-8")
    assert main(options) == 2
    assert "expected 25 different texts of its template, found 1" in capsys.readouterr().err
