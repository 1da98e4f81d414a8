"""What a night costs beside its training: own share of the time, memory at ten times the rows.

    python -m benchmarks.night [--days 60]

Runs three nights of the embedded stream in homes of their own, through the command line: one to
warm the file cache, one at the given size and one with ten times the rows. Start-up of libraries
is measured apart in the same run, as the seconds a fresh process needs to import each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[1]
STARTED_BY = {  # library start-ups inside each step: (module, processes one after another)
    "start": ("mlflow",),
    "validate": ("great_expectations",),
    "prepare": ("scipy.sparse", "sklearn.feature_extraction"),
    "register": ("keras",),
    "report": ("matplotlib.figure", "jinja2"),
}
COUNTED = ("train", "evaluate")


def seconds_of(*arguments: str) -> float:
    """Wall seconds of one fresh Python process."""
    began = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, *arguments], check=True, **quiet)
    return time.perf_counter() - began


def night(days: int, rows_per_day: int) -> dict[str, Any]:
    """One first night in a home of its own; its record, wall seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = yaml.safe_load((ROOT / "conf" / "support_tickets.yaml").read_text())
        pipeline["source"]["reader"]["options"] = {"days": days, "rows_per_day": rows_per_day}
        pipeline["contract"]["min_rows"] = 100
        pipeline["contract"]["min_rows_per_class"] = 2
        pipeline["candidates"] = pipeline["candidates"][:2]
        pipeline["training"] |= {"epochs": 3, "min_updates": 0}
        conf = Path(folder) / "tickets.yaml"
        conf.write_text(yaml.safe_dump(pipeline))
        environment = os.environ | {"NOCTURNE_HOME": f"{folder}/.nocturne"}
        command = [sys.executable, "-m", "flows.cli", "retrain", str(conf), "--json"]
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        peak = _Peak(process.pid)
        out, _ = process.communicate()
        wall = time.perf_counter() - began
        if process.returncode not in (0, 3):
            raise RuntimeError(f"the night ended with {process.returncode}: {out.decode()[:500]}")
        return {"record": json.loads(out), "wall": wall, "peak": peak.stop()}


class _Peak:
    """Samples the unique memory of a process and all it started, ten times a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._largest = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> float:
        """The largest sum seen, in MB."""
        self._over.set()
        self._thread.join()
        return self._largest / 2**20

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self._largest = max(self._largest, sum(map(_resident, family)))
            except psutil.Error:
                continue


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def show(small: dict[str, Any], large: dict[str, Any], imports: dict[str, float]) -> None:
    """Tables of seconds by step, own share, memory and the answer time of --help."""
    steps = small["record"]["seconds"]
    print("| step | seconds | of them library start-up | of them ours |\n|---|---|---|---|")
    own = 0.0
    for step, spent in steps.items():
        started = min(spent, sum(imports[name] for name in STARTED_BY.get(step, ())))
        ours = 0.0 if step in COUNTED else spent - started
        own += ours
        print(f"| {step} | {spent:.1f} | {started:.1f} | {ours:.1f} |")
    outside = small["wall"] - sum(steps.values())
    print(f"| Python, Prefect's server | {outside:.1f} | {outside:.1f} | 0.0 |")
    share = own / small["wall"]
    print(f"\nown share of the night: {share:.1%} of {small['wall']:.0f} s (goal < 10 %)")
    ratio = large["peak"] / small["peak"]
    print(
        f"peak memory, all processes: {small['peak']:.0f} MB, with ten times the rows "
        f"{large['peak']:.0f} MB: {ratio:.2f} times (goal at most 3)"
    )
    helps = [seconds_of("-m", "flows.cli", "--help") for _ in range(7)]
    print(f"--help: median {median(helps):.2f} s, best {min(helps):.2f} s of 7 (goal < 0.5)")


def main() -> None:
    """Run the nights and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--rows-per-day", type=int, default=45)
    options = parser.parse_args()
    print(f"load average at the start: {os.getloadavg()}")
    names = sorted({name for names in STARTED_BY.values() for name in names})
    imports = {name: seconds_of("-c", f"import {name}") for name in names}
    night(14, options.rows_per_day)
    small = night(options.days, options.rows_per_day)
    large = night(options.days, options.rows_per_day * 10)
    show(small, large, imports)
    print(f"load average at the end: {os.getloadavg()}")


if __name__ == "__main__":
    main()
