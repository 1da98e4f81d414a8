"""Rows whose label a person should look at again: models that had not seen them disagree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluation.inputs import Probabilities
from tasks.ragged import Examples
from tasks.references import Prepared, Suspect, Trained

SHOWN = 20  # suspects in the report; the table holds all
FEWEST = 30  # rows below which a class's usual confidence is not known
CHARACTERS = 160


def suspects(prepared: Prepared, challenger: Trained) -> list[Suspect]:
    """Suspected label errors by confident learning, the least believed label first.

    A label is suspected where another class is more likely than that class usually is for its
    own rows (Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068; computed by
    cleanlab). Only answers of models that had not learnt from the row count: the validation
    rows, and where there are folds the rows that each held out.

    Args:
        prepared: Where the rows lie.
        challenger: Its out-of-fold or validation answers are asked; test rows are left out.
    """
    from cleanlab.filter import find_label_issues

    frame, labels, answers = _asked(prepared, challenger)
    present = np.flatnonzero(np.bincount(labels, minlength=answers.shape[1]))
    if len(labels) < FEWEST or len(present) < 2:
        return []
    known = answers[:, present] / answers[:, present].sum(axis=1, keepdims=True)
    found = find_label_issues(
        np.searchsorted(present, labels),
        known,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    return [
        Suspect(
            row_id=str(frame["row_id"].iloc[row]),
            given=prepared.classes[labels[row]],
            suggested=prepared.classes[int(answers[row].argmax())],
            believed=float(answers[row, labels[row]]),
            shown=_shown(frame, row),
        )
        for row in found.tolist()
        if int(answers[row].argmax()) != labels[row]
    ]


def table(found: list[Suspect]) -> pd.DataFrame:
    """All suspects as a table."""
    return pd.DataFrame([one.model_dump() for one in found], columns=list(Suspect.model_fields))


def _asked(
    prepared: Prepared, challenger: Trained
) -> tuple[pd.DataFrame, NDArray[np.int64], Probabilities]:
    from tasks.evaluation.answers import frame_of

    home, out = Path(prepared.directory), Path(challenger.directory)
    splits: tuple[str, ...] = ("validation",)
    name = "validation_probabilities.npy"
    if (out / "out_of_fold_probabilities.npy").exists():
        splits, name = ("train", "validation"), "out_of_fold_probabilities.npy"
    answers: Probabilities = np.load(out / name, allow_pickle=False)
    if len(answers) == prepared.train_rows and len(splits) == 2:
        splits = ("train",)
    frames = [frame_of(home / f"rows_{split}.parquet") for split in splits]
    labels = np.concatenate([Examples.load(home / split).labels for split in splits])
    return pd.concat(frames, ignore_index=True), labels.astype(np.int64), answers


def _shown(frame: pd.DataFrame, row: int) -> str:
    if "text" not in frame:
        return f"{len(frame['series'].iloc[row])} steps"
    text = " ".join(str(frame["text"].iloc[row]).split())
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
