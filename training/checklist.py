"""Capability tests of a checkpoint in the manner of CheckList (Ribeiro et al. 2020): what it can read, case by case.

`python -m training.checklist` runs the tests of `data/checklist/` on the packaged checkpoint and writes
benchmarks/results/checklist.json. A minimum functionality test says what a text must and must not be called; a test of
invariance changes a text in a way that must not change its labels. CheckList holds the two answers against each other
alone; here the unchanged text must be called what it says as well, or a model that finds nothing in either would pass.
Nothing here is trained or tuned on.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from opencc import OpenCC

from sentiment import Analysis, Analyzer
from sentiment.checkpoint import CheckpointError
from sentiment.taxonomy import Taxonomy
from training.example import DatasetError

FOLDER = Path(__file__).parent.parent / "data" / "checklist"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "checklist.json"
CASES = 25
SIGNS = {"+": "positive", "0": "neutral", "-": "negative"}
SLOT = re.compile(r"\{([a-z]+)([-+0]?)\}")
LONG = 400  # characters of the text around a buried clause


@dataclass(frozen=True)
class Case:
    """A text with what it must be called. `like`: an unchanged text, which must be called so, and whose labels the text
    must get."""

    text: str
    expected: str
    like: str | None = None


@dataclass(frozen=True)
class CapabilityTest:
    """A named list of cases of one capability."""

    name: str
    capability: str
    cases: tuple[Case, ...]


def read_tests(folder: Path, taxonomy: Taxonomy) -> list[CapabilityTest]:
    """Reads tests.yaml and lexicon.yaml; templates are filled with a fixed seed, dimensions in turn.

    Raises:
        DatasetError: an entry that is not understood.
    """
    lexicon = yaml.safe_load((folder / "lexicon.yaml").read_text("utf-8"))
    tests = []
    for entry in yaml.safe_load((folder / "tests.yaml").read_text("utf-8")):
        name = entry["test"]
        if "cases" in entry:
            cases = [Case(text, expected) for text, expected in entry["cases"]]
        else:
            cases = _from_template(entry, lexicon, taxonomy)
        for case in cases:
            _parse(case.expected, taxonomy, name)
        tests.append(CapabilityTest(name, entry["capability"], tuple(cases)))
    return tests


def _from_template(entry: Mapping[str, Any], lexicon: Mapping[str, Any], taxonomy: Taxonomy) -> list[Case]:
    rng = random.Random(entry["test"])
    keys = [key for key in taxonomy.keys if key in lexicon["clauses"]]
    cases: list[Case] = []
    seen: set[str] = set()
    turn = 0
    while len(cases) < CASES:
        turn += 1
        if turn > 40 * CASES:
            raise DatasetError(f"{entry['test']}: expected {CASES} different texts of its template, found {len(cases)}")
        names = {name for name, sign in SLOT.findall(entry["template"]) if sign and name != "story"}
        first = keys[turn % len(keys)]
        others = [key for key in keys if key != first]
        drawn = dict(zip(sorted(names), [first, *rng.sample(others, min(2, len(others)))], strict=False))

        def fill(match: re.Match[str], drawn: Mapping[str, str] = drawn) -> str:
            name, sign = match.groups()
            if name == "long":
                return _long(lexicon["fillers"], rng)
            if name == "filler":
                return str(rng.choice(lexicon["fillers"]))
            table = lexicon["story"] if name == "story" else lexicon["clauses"][drawn[name]]
            return str(rng.choice(table[SIGNS[sign]]))

        text = SLOT.sub(fill, entry["template"])
        expected = " ".join(_named(part, drawn) for part in entry["expected"].split())
        if "change" in entry:
            changed = CHANGES[entry["change"]](text, lexicon, rng)
            if changed == text or changed in seen:
                continue
            seen.add(changed)
            cases.append(Case(changed, expected, like=text))
        elif text not in seen:
            seen.add(text)
            cases.append(Case(text, expected))
    return cases


def _named(part: str, drawn: Mapping[str, str]) -> str:
    return re.sub(r"^(!?)([abc])(?=$|[-+0!])", lambda m: m.group(1) + drawn[m.group(2)], part)


def _long(fillers: Sequence[str], rng: random.Random) -> str:
    text = ""
    while len(text) < LONG:
        text += rng.choice(fillers) + rng.choice("，。")
    return text.rstrip("，。") + "。"


def _homophones(text: str, lexicon: Mapping[str, Any], rng: random.Random) -> str:
    for word, wrong in lexicon["homophones"].items():
        if word in text:
            return text.replace(word, wrong, 1)
    return text


def _drop(text: str, lexicon: Mapping[str, Any], rng: random.Random) -> str:
    """Without one character inside a clause that is no sign."""
    place = rng.choice([i for i in range(1, len(text) - 1) if text[i] not in "，。不没"])
    return text[:place] + text[place + 1 :]


def _exchange(text: str, lexicon: Mapping[str, Any], rng: random.Random) -> str:
    places = [i for i in range(1, len(text) - 2) if not set(text[i : i + 2]) & set("，。不没")]
    place = rng.choice(places)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _swap(text: str, lexicon: Mapping[str, Any], rng: random.Random) -> str:
    return "，".join(reversed(text.split("，")))


def _repeat(text: str, lexicon: Mapping[str, Any], rng: random.Random) -> str:
    for word in ("太", "很", "特别", "真", "一直", "全"):
        if word in text:
            return text.replace(word, word * 3, 1) + "！！！！！！"
    return text + "！！！！！！"


CHANGES: dict[str, Callable[[str, Mapping[str, Any], random.Random], str]] = {
    "filler": lambda text, lexicon, rng: f"{rng.choice(lexicon['fillers'])}，{text}",
    "swap": _swap,
    "spaces": lambda text, lexicon, rng: " ".join(text),
    "repeat": _repeat,
    "thrice": lambda text, lexicon, rng: text * 3,
    "width": lambda text, lexicon, rng: f"　{text.replace('，', ' , ')}😅",
    "traditional": lambda text, lexicon, rng: str(OpenCC("s2t").convert(text)),
    "homophones": _homophones,
    "drop": _drop,
    "exchange": _exchange,
}


def _parse(expected: str, taxonomy: Taxonomy, test: str) -> list[tuple[str, str]]:
    """(what, value) of every part; see tests.yaml."""
    found = []
    for part in expected.split():
        match = re.fullmatch(r"(\w+?)(!?)([-+0])", part)
        if part in ("escalate", "!escalate", "!service") or part.startswith("intent="):
            found.append((part, ""))
        elif part.startswith("!"):
            taxonomy[part[1:]]
            found.append(("absent", part[1:]))
        elif match and match.group(1) == "overall":
            found.append(("overall", SIGNS[match.group(3)]))
        elif match:
            taxonomy[match.group(1)]
            found.append(("not" if match.group(2) else "is", f"{match.group(1)} {SIGNS[match.group(3)]}"))
        else:
            raise DatasetError(f"{test}: expected parts such as seating-, !service or overall+, found {part!r}")
    return found


def holds(record: Analysis, expected: str, taxonomy: Taxonomy, test: str = "") -> bool:
    """Whether a record says all that is expected."""
    said = {mention.dimension: mention.sentiment for mention in record.dimensions}
    for what, value in _parse(expected, taxonomy, test):
        key, _, sentiment = value.partition(" ")
        if what == "is":
            right = said.get(key) == sentiment
        elif what == "not":
            right = said.get(key) != sentiment
        elif what == "absent":
            right = key not in said
        elif what == "!service":
            right = not set(said) & set(taxonomy.service_keys)
        elif what == "overall":
            right = record.overall == value
        elif what.startswith("intent="):
            right = record.intent == what.removeprefix("intent=")
        else:
            right = bool(record.escalation) == (what == "escalate")
        if not right:
            return False
    return True


def passes(case: Case, records: Mapping[str, Analysis], taxonomy: Taxonomy, test: str = "") -> bool:
    """Whether the records of the case's texts are as it says."""
    if case.like is None:
        return holds(records[case.text], case.expected, taxonomy, test)
    unchanged = records[case.like]
    return holds(unchanged, case.expected, taxonomy, test) and _labels(records[case.text]) == _labels(unchanged)


def run_tests(analyzer: Analyzer, tests: Sequence[CapabilityTest]) -> list[dict[str, Any]]:
    """For each test its cases, failures, failure rate, and the texts that failed."""
    texts = list(
        dict.fromkeys(text for test in tests for case in test.cases for text in (case.text, case.like) if text)
    )
    records = dict(zip(texts, analyzer.analyze_many(texts), strict=True))
    results = []
    for test in tests:
        failed = [case.text for case in test.cases if not passes(case, records, analyzer.taxonomy, test.name)]
        results.append(
            {
                "test": test.name,
                "capability": test.capability,
                "cases": len(test.cases),
                "failures": len(failed),
                "rate": round(len(failed) / len(test.cases), 3),
                "failed": failed,
            }
        )
    return results


def _labels(record: Analysis) -> set[tuple[str, str]]:
    return {(mention.dimension, mention.sentiment) for mention in record.dimensions}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tests from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.checklist", description=__doc__)
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument("--tests", type=Path, default=FOLDER, metavar="DIR", help="default: data/checklist")
    parser.add_argument("--before", type=Path, metavar="FILE", help="earlier results, kept beside the new")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    try:
        analyzer = Analyzer.load(options.model, runtime="onnxruntime")  # as all that measures quality
        results = run_tests(analyzer, read_tests(options.tests, analyzer.taxonomy))
    except (CheckpointError, DatasetError, OSError) as error:
        print(f"training.checklist: {error}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"model": analyzer.name, "tests": results}
    if options.before is not None:
        earlier = json.loads(options.before.read_text("utf-8"))
        rates = {result["test"]: result["rate"] for result in earlier["tests"]}
        found = {"model": analyzer.name, "before": earlier["model"], "tests": [
            {**result, "before": rates.get(result["test"])} for result in results
        ]}  # fmt: skip
    options.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    for r in sorted(results, key=lambda result: -result["rate"]):
        print(f"{r['rate']:6.1%}  {r['failures']:3d} of {r['cases']}  {r['capability']}: {r['test']}")
    cases, failures = (sum(r[name] for r in results) for name in ("cases", "failures"))
    print(f"{failures / cases:6.1%}  {failures:3d} of {cases}  in {len(results)} tests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
