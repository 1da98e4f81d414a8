"""Scoring in a fresh process: what is loaded there is what anybody else would load.

In the training process today's layers are in memory already, and an old champion would be
rebuilt from them; besides, a model's memory goes when its process ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_registry.errors import BundleRefused

PATIENCE_SECONDS = 1800


class ScoringFailed(RuntimeError):
    """The process that scored ended without answers; the message is its last word."""


@dataclass(frozen=True)
class Scores:
    """What a bundle answered.

    Attributes:
        probabilities: `(rows, classes)` float32.
        classes: Names of the columns.
        digest: Of the bundle.
        golden_difference: Largest difference to training's answers on the golden rows.
        milliseconds_per_row: In batches.
        milliseconds_one_row: One raw row alone, median.
    """

    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    digest: str
    golden_difference: float
    milliseconds_per_row: float
    milliseconds_one_row: float


def score_in_fresh_process(
    bundle: Path,
    rows: Path,
    out: Path,
    *,
    expected_digest: str | None = None,
    public_key: Path | None = None,
) -> Scores:
    """Verify a bundle, check its golden rows and score a Parquet file of canonical rows.

    Args:
        bundle: The bundle's directory.
        rows: Canonical rows.
        out: Where the probabilities stay, `NAME.npy`, and the facts, `NAME.json`.
        expected_digest: Digest that the registry names.
        public_key: Whose signature it must carry.

    Raises:
        BundleRefused: the bundle breaks a rule.
        ScoringFailed: the process died, took half an hour, or its golden rows differ.
    """
    command = [sys.executable, "-m", "tasks.inference.score_rows", str(bundle), str(rows), str(out)]
    command += ["--digest", expected_digest] if expected_digest else []
    command += ["--public-key", str(public_key)] if public_key else []
    out.unlink(missing_ok=True)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(  # noqa: S603 - our own module, in this interpreter
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ScoringFailed(f"{bundle.name}: no answer in {PATIENCE_SECONDS} s") from None
    if done.returncode:
        raise _told(bundle, done)
    facts = json.loads(out.with_suffix(".json").read_text("utf-8"))
    return Scores(
        np.load(out, allow_pickle=False),
        tuple(facts["classes"]),
        facts["digest"],
        facts["golden_difference"],
        facts["milliseconds_per_row"],
        facts["milliseconds_one_row"],
    )


def _told(bundle: Path, done: subprocess.CompletedProcess[str]) -> Exception:
    """The last word of a process that failed, as an exception."""
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if last.startswith("BundleRefused: refused: "):
        rule, _, detail = last.removeprefix("BundleRefused: refused: ").partition(": ")
        return BundleRefused(rule, detail)
    if done.returncode < 0:
        last = f"killed by signal {-done.returncode}; is there enough memory?"
    return ScoringFailed(f"scoring with {bundle.name} failed: {last}")
