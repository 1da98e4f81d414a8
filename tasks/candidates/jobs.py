"""What each candidate's process is told, from a pipeline and its encoded rows."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from infra.settings import Settings
from tasks.candidates.job import Job
from tasks.config import COMBINING, Pipeline
from tasks.questions import of_candidate
from tasks.ragged import Ragged
from tasks.references import Prepared
from tasks.steps import digest_of, digest_of_folder


def jobs_of(pipeline: Pipeline, prepared: Prepared) -> list[Job]:
    """What each candidate's process is told; files of candidates that are no more are removed.

    Args:
        pipeline: Its candidates, training settings, folds, metric and seed.
        prepared: The encoded rows.
    """
    from tasks.sequences.preprocessor import preprocessor_from_json

    home = Path(prepared.directory)
    state = json.loads((home / "preprocessor.json").read_text("utf-8"))
    spec = replace(preprocessor_from_json(state).spec, vectors=pipeline.preprocessing.vectors)
    if spec.kind == "numeric":
        spec = replace(spec, steps=int(np.median(Ragged.load(home / "train").lengths)))
    out = home.parents[1] / "candidates"
    rows = digest_of_folder(home)
    names = {candidate.name for candidate in pipeline.candidates}
    trained = sum(candidate.architecture.name not in COMBINING for candidate in pipeline.candidates)
    workers = max(1, min(Settings().workers, trained))  # they share the cores
    for left in out.iterdir() if out.exists() else ():
        if left.name not in names:
            shutil.rmtree(left, ignore_errors=True)
    jobs = [
        Job(
            name=candidate.name,
            prepared=prepared.directory,
            out=str(out / candidate.name),
            architecture=candidate.architecture,
            resampling=candidate.resampling,
            training=pipeline.training_of(candidate),
            classes=prepared.classes,
            spec=spec,
            rows=rows,
            folds=pipeline.folds,
            fold_repeats=pipeline.fold_repeats,
            fold_ensemble=pipeline.fold_ensemble,
            metric=pipeline.evaluation.metric,
            seed=pipeline.seed,
            threads=max(1, len(os.sched_getaffinity(0)) // workers),
        )
        for candidate in pipeline.candidates
    ]
    return [
        job.model_copy(update={"key": digest_of(of_candidate(job.model_dump(mode="json")))})
        for job in jobs
    ]
