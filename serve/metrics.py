"""What Prometheus reads at /metrics, summed over the workers. Labels are names of ours, never words of a text."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from sentiment.records import Analysis
from serve.queue import Failure

# prometheus_client reads it when it is imported: set it before, in the process that starts the workers.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """The metrics of one worker process. Its methods may be called from any thread."""

    def __init__(self) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        self._folder = None if folder is None else Path(folder)
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "cinesent_requests", "Answers by route and status.", ("method", "route", "status"), registry=registry
        )
        self._latency = Histogram(
            "cinesent_request_seconds", "Time from a request to its answer.", ("route",), buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._queue = Gauge("cinesent_queue_texts", "Texts that wait.", registry=registry, multiprocess_mode="livesum")
        self._batch = Histogram("cinesent_batch_texts", "Texts scored together.", buckets=_TEXTS, registry=registry)
        self._scoring = Histogram(
            "cinesent_batch_seconds", "Time to score a batch.", buckets=_SECONDS, registry=registry
        )
        self._texts = Counter("cinesent_texts", "Texts scored by status.", ("status",), registry=registry)
        self._failures = Counter(
            "cinesent_text_failures", "Texts without a record by reason.", ("code",), registry=registry
        )
        self._labels = Counter(
            "cinesent_mentions", "Mentions by dimension and sentiment.", ("dimension", "sentiment"), registry=registry
        )
        self._overall = Counter("cinesent_overall", "Texts by overall sentiment.", ("sentiment",), registry=registry)
        self._escalations = Counter("cinesent_escalations", "Texts on which somebody should act.", registry=registry)
        self._uncertain = Counter("cinesent_uncertain", "Texts that a person should look at.", registry=registry)
        self._reloads = Counter("cinesent_reloads", "Reloads of a worker by result.", ("result",), registry=registry)
        self._model = Gauge(
            "cinesent_model", "1 for the checkpoint in use.", ("model",), registry=registry, multiprocess_mode="livemax"
        )
        self._name: str | None = None

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An answer went out; status 0: the client had gone."""
        method = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self._requests.labels(method, route, status or "gone").inc()
        self._latency.labels(route).observe(seconds)

    def queued(self, texts: int) -> None:
        """So many texts wait now."""
        self._queue.set(texts)

    def scored(self, outcomes: Sequence[Analysis | Failure], seconds: float) -> None:
        """A batch was scored in so many seconds."""
        self._batch.observe(len(outcomes))
        self._scoring.observe(seconds)
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                self._failures.labels(outcome.value).inc()
                continue
            self._texts.labels(outcome.status).inc()
            for mention in outcome.dimensions:
                self._labels.labels(mention.dimension, mention.sentiment).inc()
            if outcome.overall is not None:
                self._overall.labels(outcome.overall).inc()
            if outcome.escalation:
                self._escalations.inc()
            if outcome.uncertain:
                self._uncertain.inc()

    def expired(self, texts: int) -> None:
        """So many texts were not scored in time."""
        if texts:
            self._failures.labels(Failure.DEADLINE.value).inc(texts)

    def using(self, model: str) -> None:
        """This checkpoint is in use from now on."""
        if self._name is not None:
            self._model.labels(self._name).set(0)
        self._name = model
        self._model.labels(model).set(1)

    def reloaded(self, result: str) -> None:
        self._reloads.labels(result).inc()

    def expose(self, alive: Collection[int] = ()) -> bytes:
        """All metrics in Prometheus' text format; of several workers, the sums. `alive`: the workers' process ids."""
        if self._folder is None:
            return generate_latest(self.registry)
        for path in self._folder.glob("gauge_live*_*.db"):
            if (process := path.stem.rpartition("_")[2]).isdigit() and int(process) not in alive:
                with suppress(FileNotFoundError):  # somebody else asks at the same time
                    mark_process_dead(int(process), str(self._folder))  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)
