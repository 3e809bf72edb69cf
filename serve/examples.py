"""`python -m serve.examples` writes what the packaged checkpoint answers to the examples of the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from serve.queue import AnalyzerLike

FILE = Path(__file__).parent / "examples.json"


def answers(analyzer: AnalyzerLike) -> dict[str, Any]:
    """The record of every example of a request, by its name."""
    from serve.schemas import REQUEST_EXAMPLES, AnalyzeRequest, record

    found = {}
    for name, example in REQUEST_EXAMPLES.items():
        request = AnalyzeRequest.model_validate(example["value"])
        (analysis,) = analyzer.analyze_block([request.text])
        found[name] = record(analysis, request.text, request.id, request)
    return found


def main() -> None:
    from sentiment import Analyzer

    FILE.write_text(json.dumps(answers(Analyzer.load()), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
