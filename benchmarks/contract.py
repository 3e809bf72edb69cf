"""Requests made up from the OpenAPI description, valid and invalid, against a running service: no server error, and
every answer as the description says.

`python -m benchmarks.contract` starts the service, sends 10,000 requests and writes benchmarks/results/contract.json;
exits with 1 if something was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.process import service

ROOT = Path(__file__).parent.parent
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class Outcome:
    """Statuses by route, and what was wrong: the route, the status and the failed check, never the request."""

    requests: int = 0
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)


def try_all(url: str, each: int, headers: dict[str, str] | None = None) -> Outcome:
    """`each` requests of either kind, valid and invalid, for every operation of the service at `url`."""
    outcome = Outcome()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _try(operation, mode, each, headers, outcome)
    return outcome


def _try(operation: Any, mode: GenerationMode, each: int, headers: dict[str, str] | None, outcome: Outcome) -> None:
    label = operation.label

    @settings(
        max_examples=each,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        response = case.call(headers=headers, timeout=60)
        outcome.requests += 1
        outcome.statuses.setdefault(label, Counter())[response.status_code] += 1
        for check in CHECKS:
            try:
                case.validate_response(response, checks=[check])
            except Exception as failure:
                outcome.wrong[f"{label} {response.status_code}: {type(failure).__name__} in {check.__name__}"] += 1

    try:
        send()
    except Exception as error:
        if type(error).__name__ not in ("Unsatisfiable", "SkipTest"):  # nothing about this route can be invalid
            outcome.wrong[f"{label}: {type(error).__name__}"] += 1


def main() -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "contract.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), "--log-level", "warning") as (_, port):
        url = f"http://127.0.0.1:{port}"
        total = Outcome()
        each = 50
        while total.requests < options.requests:
            found = try_all(url, each)
            total.requests += found.requests
            total.wrong += found.wrong
            for label, statuses in found.statuses.items():
                total.statuses[label] = total.statuses.get(label, Counter()) + statuses
            each *= 4
    results = {
        "requests": total.requests,
        "statuses": {label: {str(s): n for s, n in sorted(c.items())} for label, c in sorted(total.statuses.items())},
        "server_errors": sum(n for c in total.statuses.values() for s, n in c.items() if s >= 500),
        "wrong": dict(total.wrong),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print(json.dumps(results, indent=2))
    sys.exit(1 if total.wrong else 0)


if __name__ == "__main__":
    main()
