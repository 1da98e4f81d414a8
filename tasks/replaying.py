"""A night computed again from its ledger entry: the same model, nearly the same, or another."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.storage import Storage
from tasks.candidates.jobs import jobs_of
from tasks.candidates.parallel import run_all
from tasks.config import Pipeline
from tasks.inference.fresh import score_in_fresh_process
from tasks.prepare import prepared_in
from tasks.provenance import code_digest, lock_digest
from tasks.references import Prepared, Snapshot, Trained
from tasks.train import NothingTrained

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Replayed:
    """What became of computing a night again.

    Attributes:
        verdict: bit-equal, within tolerance, or different.
        difference: Largest of a probability on the test rows; None where the rows differ.
        why: What is not as it was, one sentence each.
    """

    verdict: str
    difference: float | None
    why: tuple[str, ...]


def replayed(
    pipeline: Pipeline,
    candidate: str,
    clean: Snapshot,
    bundle: Path,
    digests: Mapping[str, str],
    *,
    folder: Path,
    storage: Storage,
) -> Replayed:
    """Prepare and train as the night did, and hold the model against the bundle it left.

    Args:
        pipeline: As the bundle holds it.
        candidate: Name of the night's challenger.
        clean: The rows that passed the night's contract.
        bundle: The verified bundle.
        digests: Of the ledger entry: test, code, lock.
        folder: For everything that is computed.
        storage: Holds the rows.

    Raises:
        NothingTrained: the candidate cannot be trained any more; the message says why.
        DataError: the rows are not what their digest says.
    """
    prepared = prepared_in(folder / "prepared", pipeline, clean, storage)
    trained = _trained(pipeline, candidate, prepared)
    why = changes(digests, prepared.test_digest)
    if prepared.test_digest != digests.get("test"):
        return Replayed("different", None, why)
    rows, out = Path(prepared.directory) / "rows_test.parquet", folder / "scores.npy"
    before = score_in_fresh_process(bundle, rows, out).probabilities
    path = Path(trained.directory) / "test_probabilities.npy"
    now = np.load(path, allow_pickle=False)
    difference = float(np.abs(before - now).max(initial=0.0))
    if same_weights(bundle / "model.keras", Path(trained.directory) / "model.keras"):
        return Replayed("bit-equal", difference, why)
    if difference <= TOLERANCE:
        return Replayed("within tolerance", difference, why)
    unexplained = "rows, code, packages and seed are as they were: this machine computes otherwise"
    return Replayed("different", difference, why or (unexplained,))


def changes(digests: Mapping[str, str], test_digest: str) -> tuple[str, ...]:
    """What is not as it was when an entry was written, in sentences."""
    now = {"test": test_digest, "code": code_digest(), "lock": lock_digest()}
    names = {"test": "the test rows", "code": "Nocturne's code", "lock": "the installed packages"}
    return tuple(
        f"{names[part]} changed: {digests[part][:12]} then, {digest[:12]} now"
        for part, digest in now.items()
        if part in digests and digests[part] != digest
    )


def same_weights(one: Path, other: Path) -> bool:
    """Whether two model files hold the same numbers, bit for bit."""
    first, second = _weights(one), _weights(other)
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


def _trained(pipeline: Pipeline, candidate: str, prepared: Prepared) -> Trained:
    """One candidate, with as many threads as in its night."""
    jobs = [job.model_copy(update={"key": ""}) for job in jobs_of(pipeline, prepared)]
    asked = next(job for job in jobs if job.name == candidate)
    if asked.combines:
        others = [job for job in jobs if not job.combines]
        ended = run_all(others, workers=1)
        asked = asked.after(zip(others, ended, strict=True)).model_copy(update={"key": ""})
    (trained,) = run_all([asked], workers=1)
    if trained.failed is not None:
        raise NothingTrained(f"replay: {candidate} cannot be trained now: {trained.failed}")
    return trained


def _weights(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    found: dict[str, NDArray[Any]] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with zipfile.ZipFile(path) as archive:
        data = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(note)
    return found


def pipeline_in(bundle: Path) -> Pipeline:
    """The configuration that a bundle was made by; its suite is not asked again."""
    content = json.loads((bundle / "pipeline.json").read_text("utf-8"))
    content["contract"]["suite"] = None
    return Pipeline.model_validate(content)
