"""SequenceClassifier: preprocessing, model and labels as one thing that answers raw rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_registry import bundle
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.sequences.preprocessor import Preprocessor, preprocessor_from_json

if TYPE_CHECKING:
    import pandas as pd

    from tasks.ragged import Ragged

BATCH_ROWS = 256
BATCH_STEPS = 1 << 17


class SequenceClassifier:
    """Answers canonical rows with a probability for each class.

    The same object scores in batch and serves: one path from a row to its answer.

    Args:
        preprocessor: From rows to model input.
        model: A Keras model with softmax output.
        classes: Names of the classes, in the order of the output.
    """

    def __init__(self, preprocessor: Preprocessor, model: Any, classes: Sequence[str]) -> None:
        self.preprocessor = preprocessor
        self.model = model
        self.classes = tuple(classes)

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """The probability of each class.

        Rows of like length share a batch, so that little is padding; the answers come in the
        order of the rows and depend on nothing but the row.

        Args:
            frame: Canonical rows: a column `text` or `series`.

        Returns:
            `(rows, classes)` float32, each row summing to one.

        Raises:
            ValueError: a row that cannot be encoded, named.
        """
        return self.answer(self.preprocessor.encode(frame))

    def answer(self, inputs: Ragged) -> NDArray[np.float32]:
        """The probability of each class for rows that are encoded already.

        Args:
            inputs: What `preprocessor.encode` gave.

        Returns:
            `(rows, classes)` float32, each row summing to one.
        """
        answers = np.empty((len(inputs), len(self.classes)), np.float32)
        lengths = inputs.lengths
        for rows in bucketed(lengths, BATCH_ROWS, seed=0, shuffle=False, max_steps=BATCH_STEPS):
            batch = inputs.take(rows).padded(bucket_length(int(lengths[rows].max())))
            answers[rows] = self.model.predict_on_batch(batch)
        return answers

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The likeliest class and every class's probability, a row each.

        Returns:
            Columns `label` (str) and `probability_CLASS` (float32), the index of `frame`.
        """
        return answers_frame(self.predict_proba(frame), self.classes, frame.index)

    def save(
        self, directory: Path, *, pipeline: dict[str, Any], golden: pd.DataFrame, key: Path
    ) -> bundle.Manifest:
        """Write and seal a bundle.

        Args:
            directory: The bundle's directory, made where absent.
            pipeline: The pipeline as plain values.
            golden: A few canonical rows whose answers are kept, to compare with later.
            key: The signing key.
        """
        from tasks.inference.assembly import write_bundle

        directory.mkdir(parents=True, exist_ok=True)
        self.model.save(directory / "model.keras")
        state = self.preprocessor.to_json()
        write_bundle(directory, state, self.classes, pipeline, (golden, self.predict_proba(golden)))
        return bundle.seal(directory, key)

    @classmethod
    def load(
        cls, directory: Path, *, expected_digest: str | None = None, public_key: Path | None = None
    ) -> SequenceClassifier:
        """From a bundle that the registry's door accepts; nothing is unpickled, no code is run.

        Args:
            directory: The bundle, in a place that only this user can write to.
            expected_digest: Digest that the registry names.
            public_key: Whose signature it must carry.

        Raises:
            BundleRefused: "refused: RULE: what was found", before Keras is imported.
        """
        bundle.verify(directory, expected_digest=expected_digest, public_key=public_key)
        from tasks.architectures import saved

        model = saved.load(directory / "model.keras")
        state = json.loads((directory / "preprocessor.json").read_text("utf-8"))
        classes = json.loads((directory / "labels.json").read_text("utf-8"))
        return cls(preprocessor_from_json(state), model, classes)


def answers_frame(
    probabilities: NDArray[np.float32], classes: Sequence[str], index: Any = None
) -> pd.DataFrame:
    """Answers as a frame: `label`, then `probability_CLASS` of each class.

    Args:
        probabilities: `(rows, classes)`.
        classes: Their names.
        index: Of the frame; counts from 0 where absent.
    """
    import pandas as pd

    likeliest = np.asarray(classes, object)[probabilities.argmax(axis=1)]
    columns = {f"probability_{name}": probabilities[:, i] for i, name in enumerate(classes)}
    return pd.DataFrame({"label": pd.Series(likeliest, index, dtype="str"), **columns}, index)
