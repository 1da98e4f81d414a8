"""The same candidates through the pool of this machine and through a Ray cluster on it.

    python -m benchmarks.scaling [--jobs 4] [--rows 3000] [--rounds 2]

A cluster of one node is started on loopback. Ways take turns, round after round: one process of
the pool, two; one seat of the cluster, two. Seconds are the best of the rounds, first to last job,
without the start of the cluster and the connection to it. Processor seconds are of every process
that took part, Ray's own included; on a busy machine they tell more than seconds. At last the
weights of the first job are compared, of all ways and rounds.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tasks.candidates.job import Job
from tasks.candidates.parallel import run_all
from tasks.config import Training
from tasks.replaying import same_weights
from tests.contracts.order_rows import CLASSES, SPEC, order_rows
from tests.ray_cluster import members, ray_cluster

LSTM = {"name": "stacked_lstm", "options": {"units": 64, "layers": 1, "embedding": 32}}


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["once"]:
        print(*_once(Path(sys.argv[2]), int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ray_cluster() as clients:
        home = Path(folder)
        for split, rows in {"train": given.rows, "validation": 300, "test": 100}.items():
            order_rows(rows, seed=rows, longest=40).save(home / "prepared" / split)
        _table(home, given.jobs, given.rounds, clients)


def _table(home: Path, jobs: int, rounds: int, clients: Mapping[str, str]) -> None:
    ways = [(f"{name}, {workers}", environment, workers)
            for name, environment in (("pool", {}), ("Ray", clients))
            for workers in (1, 2)]  # fmt: skip
    found: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in ways}
    began = os.getloadavg()[0]
    for number in range(rounds):
        for name, environment, workers in ways:
            out = home / f"{name}-{number}"
            _prepare(out, home / "prepared", jobs)
            found[name].append(_measured(out, workers, environment, clients))
    best = {name: min(rounds) for name, rounds in found.items()}
    slowest = best[ways[0][0]][0]
    print("| way, jobs at once | seconds | speed-up | processor seconds |\n|---|---|---|---|")
    for name, (seconds, cpu) in best.items():
        print(f"| {name} | {seconds:.1f} | {slowest / seconds:.2f} | {cpu:.1f} |")
    print(f"\nload {began:.1f} at the start, {os.getloadavg()[0]:.1f} at the end; {jobs} jobs")
    first, *others = sorted(home.glob("*/1/model.keras"))
    print("the same weights:", all(same_weights(first, other) for other in others))


def _prepare(out: Path, prepared: Path, jobs: int) -> None:
    training = Training(epochs=8, min_updates=0, patience=8, batch_size=64)
    for number in range(1, jobs + 1):
        job = Job(
            name=str(number),
            prepared=str(prepared),
            out=str(out / str(number)),
            architecture=LSTM,
            resampling="none",
            training=training,
            classes=CLASSES,
            spec=SPEC,
            seed=number,
        )
        Path(job.out).mkdir(parents=True)
        (Path(job.out) / "job.json").write_text(job.model_dump_json())


def _measured(
    out: Path, workers: int, environment: Mapping[str, str], clients: Mapping[str, str]
) -> tuple[float, float]:
    """Seconds and processor seconds of all jobs, by a process of its own."""
    with _counted(clients) as spent:
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.scaling", "once", str(out), str(workers)],
            env={**os.environ, **environment, "NOCTURNE_HOME": str(out)},
            check=True,
            capture_output=True,
            text=True,
        )
    seconds, own = map(float, said.stdout.split())
    return seconds, own + (spent() if environment else 0)


@contextmanager
def _counted(clients: Mapping[str, str]) -> Iterator[Callable[[], float]]:
    """Processor seconds that a cluster spends; of a process that ends, half a second may lack."""
    before = _spent(clients)
    seen = dict(before)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            seen.update(_spent(clients))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: sum(spent - before.get(who, 0.0) for who, spent in seen.items())
    finally:
        over.set()
        watcher.join()


def _spent(clients: Mapping[str, str]) -> dict[tuple[int, float], float]:
    found = {}
    for process in members(clients):
        with suppress(psutil.Error):
            found[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
    return found


def _once(out: Path, workers: int) -> tuple[float, float]:
    """Train all jobs of a folder: seconds, and processor seconds of this process' family."""
    from infra.settings import Settings

    if Settings().ray:
        from tasks.candidates.cluster import reached

        reached()
    files = sorted(out.glob("*/job.json"))
    jobs = [Job.model_validate_json(file.read_text("utf-8")) for file in files]
    began = time.perf_counter()
    ended = run_all(jobs, workers=workers)
    seconds = time.perf_counter() - began
    assert not [one.failed for one in ended if one.failed]
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return seconds, sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
