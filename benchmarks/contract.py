"""Requests made up from the OpenAPI description, valid and invalid, against a running service: no server error, and
every answer as the description says.

`python -m benchmarks.contract` starts the service, sends 10,000 requests and writes benchmarks/results/contract.json;
exits with 1 if something was wrong. They come in rounds over all operations, each round made up anew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.process import service

ROOT = Path(__file__).parent.parent
# Requests of either kind for an operation in a round; of those that load a checkpoint, fewer.
EACH = 100
SLOW = {"POST /v1/admin/reload": 5}
TABLE = "评论\n座椅太硬\n音响震撼,又一列\n".encode()  # a row that cannot be read too, so that there is every link
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class Outcome:
    """Statuses by route, and what was wrong: the route, the status and the failed check, never the request."""

    requests: int = 0
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)


def try_all(url: str, each: int, *, requests: int | None = None) -> Outcome:
    """Up to `each` requests of either kind, valid and invalid, for every operation of the service at `url`; as often
    as it takes, or once, to `requests` in all.

    Raises:
        RuntimeError: a whole round made up none.
    """
    outcome, known = Outcome(), _known(url)
    read = schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()
    operations = [found.ok() for found in read]  # type: ignore[union-attr]  # an unreadable one ends the run
    for number in itertools.count():
        before = outcome.requests
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                most = SLOW.get(operation.label, each)
                most = min(most, each, most if requests is None else requests - outcome.requests)
                if most > 0:
                    places = known.get(operation.label, []) if mode is GenerationMode.POSITIVE else []
                    _try(operation, mode, most, number, outcome, places)
        if requests is None or outcome.requests >= requests:
            return outcome
        if outcome.requests == before:
            raise RuntimeError("expected requests for some operation, found none")
        print(f"{outcome.requests} of {requests} requests, {outcome.wrong.total()} wrong", file=sys.stderr, flush=True)
    raise AssertionError


def _known(url: str) -> dict[str, list[dict[str, str]]]:
    """By operation, where there is something: of two files one that was scored, and one to be removed. Made-up ids lead
    to nothing but 404.

    Raises:
        RuntimeError: the file is not scored.
    """
    with httpx.Client(base_url=url, timeout=60) as http:
        kept, spare = (http.post("/v1/files", files={"file": ("a.csv", TABLE)}).json() for _ in range(2))
        until = time.monotonic() + 600
        while kept["status"] in ("queued", "running") and time.monotonic() < until:
            time.sleep(0.2)
            kept = http.get(kept["links"]["self"]).json()
    if kept["status"] != "done":
        raise RuntimeError(f"expected a file that is scored, found it {kept['status']}")
    return {
        "GET /v1/files/{id}": [{"id": kept["id"]}],
        "GET /v1/files/{id}/{link}": [{"id": kept["id"], "link": link} for link in kept["links"] if link != "self"],
        "DELETE /v1/files/{id}": [{"id": spare["id"]}],
    }


def _try(
    operation: Any, mode: GenerationMode, most: int, number: int, outcome: Outcome, places: list[dict[str, str]]
) -> None:
    """Every second request goes to one of `places`, if there are any."""
    label = operation.label
    turns = itertools.count()

    @seed(number)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case[Any]) -> None:
        turn, odd = divmod(next(turns), 2)
        if places and not odd:
            case.path_parameters |= places[turn % len(places)]
        response = case.call(timeout=60)
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
        total = try_all(f"http://127.0.0.1:{port}", EACH, requests=options.requests)
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
