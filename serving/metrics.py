"""What the server tells Prometheus; one registry, also over several processes."""

from __future__ import annotations

import os
from collections import Counter as Counts

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from serving.engine import Answers, Engine

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEVERAL = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Counters and gauges of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answered requests, by route.", "route", "status")
        self.seconds = Histogram(
            "nocturne_request_seconds",
            "From the body's arrival to the answer.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.flight_rows = Histogram(
            "nocturne_flight_rows",
            "Rows that shared a flight.",
            buckets=ROWS,
            registry=self.registry,
        )
        self.flight_seconds = Histogram(
            "nocturne_flight_seconds",
            "Of the engine, a flight.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = self._counter("rows", "Answered rows, by label.", "version", "label")
        self.queue = self._gauge("queue_requests", "Requests that wait.")
        self.live = self._gauge("live", "1 for the version that answers.", "version", "digest")
        self.stale = self._gauge("stale", "1 where the ledger could not be followed.")
        self.swaps = self._counter("swaps", "Versions that took over.")
        self.refused = self._counter("refused_versions", "Versions not taken.", "version", "reason")
        self.logged = self._counter("logged_rows", "Rows written to the log.")
        self.log_failures = self._counter("log_failures", "Flushes of the log that failed.")
        self.shadow_rows = self._counter("shadow_rows", "Rows the challenger scored.", "version")
        self.shadow_agreed = self._counter("shadow_agreed", "Of those, same label.", "version")
        self.shadow_shift = self._gauge(
            "shadow_shift", "Mean distance of probabilities (total variation).", "version"
        )
        self.shadow_seconds = self._counter("shadow_seconds", "Spent on them.", "version")

    def landed(self, rows: int, seconds: float) -> None:
        """One flight is over."""
        self.flight_rows.observe(rows)
        self.flight_seconds.observe(seconds)

    def answered(self, answers: Answers) -> None:
        """One request got its answers."""
        counts = Counts(answers.probabilities.argmax(axis=1).tolist())
        for best, count in counts.items():
            label = answers.engine.classes[best]
            self.rows.labels(answers.engine.version, label).inc(count)

    def took_over(self, engine: Engine, before: Engine | None) -> None:
        """A version took over."""
        if before is not None:
            self.live.labels(before.version, before.digest[:16]).set(0)
            self.swaps.inc()
        self.live.labels(engine.version, engine.digest[:16]).set(1)

    def text(self) -> bytes:
        """Everything, in Prometheus's format."""
        if SEVERAL not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"nocturne_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(
            f"nocturne_{name}",
            what,
            labels,
            registry=self.registry,
            multiprocess_mode="livesum" if name != "stale" else "livemax",
        )
