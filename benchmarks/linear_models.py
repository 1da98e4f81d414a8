"""What a user would pick instead: linear models on the very rows of a night.

Texts: TF-IDF of word 1-2 grams, alone and with character 2-5 grams beside them. Series: padded to
the longest, flattened and standardised. Classes are balanced by weights, as the usual recipes do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Scores = dict[str, dict[str, float]]


def linear_models(prepared: Path) -> Scores:
    """Accuracy, macro-F1 and balanced accuracy of each model on the night's test rows.

    Args:
        prepared: Folder that the night's `prepare` left; its train and validation rows teach.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, recall_score
    from sklearn.svm import LinearSVC

    rows = {name: pd.read_parquet(prepared / f"rows_{name}.parquet") for name in SPLITS}
    taught = pd.concat([rows["train"], rows["validation"]], ignore_index=True)
    told, wanted = taught["label"], rows["test"]["label"]
    scores = {}
    for suffix, (known, asked) in _features(taught, rows["test"]).items():
        for name, model in {
            "SVM": LinearSVC(class_weight="balanced", random_state=0),
            "LR": LogisticRegression(C=4, class_weight="balanced", max_iter=2000),
        }.items():
            said = model.fit(known, told).predict(asked)
            scores[name + suffix] = {
                "accuracy": float(accuracy_score(wanted, said)),
                "macro_f1": float(f1_score(wanted, said, average="macro")),
                "balanced_accuracy": float(recall_score(wanted, said, average="macro")),
            }
    return scores


SPLITS = ("train", "validation", "test")


def _features(taught: pd.DataFrame, asked: pd.DataFrame) -> dict[str, tuple[Any, Any]]:
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import StandardScaler

    if "series" in taught:
        steps = max(len(series) for series in taught["series"])
        scaler = StandardScaler()
        known = scaler.fit_transform(_flat(taught["series"], steps))
        return {"": (known, scaler.transform(_flat(asked["series"], steps)))}
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    of_words = words.fit_transform(taught["text"]), words.transform(asked["text"])
    of_letters = letters.fit_transform(taught["text"]), letters.transform(asked["text"])
    both = [hstack(pair, "csr") for pair in zip(of_words, of_letters, strict=True)]
    return {"": of_words, " with characters": (both[0], both[1])}


def _flat(series: pd.Series[Any], steps: int) -> NDArray[np.float64]:
    """`(rows, steps * channels)`, zeros past a row's end and where a value is missing."""
    channels = len(series.iloc[0][0])
    flat = np.zeros((len(series), steps, channels))
    for number, row in enumerate(series):
        values = np.stack(list(row)).astype(np.float64)[:steps]
        flat[number, : len(values)] = np.nan_to_num(values)
    return flat.reshape(len(series), -1)
