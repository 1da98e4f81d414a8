"""Score rows with a bundle in a process of its own: `python -m tasks.inference.score_rows`.

Verifies, loads, answers the golden rows, then scores; writes `OUT.npy` (probabilities in the
order of the rows) and `OUT.json` (classes, digest, golden difference, latency), each whole or
not at all.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infra import collecting
from model_registry import bundle
from model_registry.errors import BundleRefused, RegistryError
from tasks.inference import golden
from tasks.inference.assembly import read_rows
from tasks.inference.classifier import SequenceClassifier
from tasks.inference.timing import timed_rows

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

SWEEPS = 3


class GoldenMismatch(ValueError):
    """The bundle does not answer its golden rows as training did."""


def score(
    directory: Path,
    rows: Path,
    out: Path,
    *,
    expected_digest: str | None = None,
    public_key: Path | None = None,
) -> None:
    """Score the rows of a Parquet file.

    Args:
        directory: The bundle.
        rows: Canonical rows.
        out: Where the probabilities go, `NAME.npy`; the facts go to `NAME.json`.
        expected_digest: Digest that the registry names.
        public_key: Whose signature it must carry.

    Raises:
        BundleRefused: the bundle breaks a rule.
        GoldenMismatch: its golden rows differ by more than `golden.TOLERANCE`.
    """
    classifier = SequenceClassifier.load(
        directory, expected_digest=expected_digest, public_key=public_key
    )
    off = golden.difference(classifier, directory)
    if not off <= golden.TOLERANCE:
        raise GoldenMismatch(
            f"golden rows of {directory.name}: answers differ from training's by {off:.2e}, "
            f"at most {golden.TOLERANCE:.0e} is allowed; the preprocessing or the model is "
            "not what was trained"
        )
    frame = read_rows(rows)
    began = time.perf_counter()
    answers = classifier.predict_proba(frame)
    seconds = time.perf_counter() - began
    facts = {
        "digest": bundle.verify(directory).digest,
        "classes": list(classifier.classes),
        "rows": len(frame),
        "golden_difference": off,
        "milliseconds_per_row": 1000 * seconds / max(len(frame), 1),
        "milliseconds_one_row": _alone(classifier, frame),
    }
    _write(out, answers, facts)


def _alone(classifier: SequenceClassifier, frame: pd.DataFrame) -> float:
    """Milliseconds of one raw row alone: median of a sweep, the quickest of some, warmed up.

    Other work on the machine only ever adds to it, so the quickest sweep says most of the model.
    """
    rows = [frame.iloc[[row]] for row in timed_rows(len(frame))]

    def spent(row: pd.DataFrame) -> float:
        began = time.perf_counter()
        classifier.predict_proba(row)
        return time.perf_counter() - began

    sweeps = [[spent(row) for row in rows] for _ in range(1 + SWEEPS)]
    return float(1000 * np.median(sweeps[1:], axis=1).min()) if rows else 0.0


def _write(out: Path, answers: NDArray[np.float32], facts: dict[str, object]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial.npy")
    np.save(partial, answers, allow_pickle=False)
    partial.replace(out)
    told = out.with_suffix(".json")
    partial = told.with_name(f".{told.name}.partial")
    partial.write_text(json.dumps(facts), "utf-8")
    partial.replace(told)


def main() -> None:
    """Read the arguments, score, and end with one line on what went wrong, if anything did."""
    collecting.rarely()
    parser = argparse.ArgumentParser(prog="score_rows", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--digest")
    parser.add_argument("--public-key", type=Path)
    asked = parser.parse_args()
    try:
        score(
            asked.bundle,
            asked.rows,
            asked.out,
            expected_digest=asked.digest,
            public_key=asked.public_key,
        )
    except (BundleRefused, RegistryError, GoldenMismatch) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
