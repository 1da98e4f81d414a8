"""How good the model probably is today, before any label has come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMIT = 1.959963984540054  # of the standard normal distribution, two-sided 95 %

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimated:
    """Accuracy estimated from confidence.

    Attributes:
        value: Share of right answers, by difference of confidences.
        low: End of its 95 % interval.
        high: The other end.
        thresholded: The same by average thresholded confidence, to compare.
        reference: Accuracy on the reference rows, whose labels are known.
    """

    value: float
    low: float
    high: float
    thresholded: float
    reference: float


def estimated(confidence: Values, right: NDArray[np.bool_], today: Values) -> Estimated:
    """The accuracy of a day by what the model says of its own answers.

    *Difference of confidences*: accuracy on the reference, plus the mean confidence of the day
    less that of the reference (Guillory et al., Predicting with confidence on unseen
    distributions, ICCV 2021): a model that is too sure of itself is so on both sides. Its
    interval counts the sampling of both. *Average thresholded confidence*: the share of the
    day above the confidence that as many reference rows exceed as are answered rightly (Garg et
    al., Leveraging unlabeled data to predict out-of-distribution performance, ICLR 2022). Both
    hold where inputs move and what they mean does not: labels that change their meaning are
    seen by neither.

    Args:
        confidence: Largest probability of each reference row, `(references,)`; at least one.
        right: Whether its answer is right, `(references,)`.
        today: Largest probability of each row of the day, `(rows,)`; at least one.
    """
    reference = float(right.mean())
    value = reference + float(today.mean() - confidence.mean())
    spread = np.var(right - confidence) / len(confidence) + np.var(today) / len(today)
    half = LIMIT * float(np.sqrt(spread))
    threshold = np.quantile(confidence, 1 - reference, method="higher")
    return Estimated(
        value=float(np.clip(value, 0, 1)),
        low=float(np.clip(value - half, 0, 1)),
        high=float(np.clip(value + half, 0, 1)),
        thresholded=float((today >= threshold).mean()),
        reference=reference,
    )
