"""Which candidate challenges the champion. Validation rows choose; test rows never do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from tasks.references import Trained


def ranking(
    candidates: Sequence[Trained], validation: Mapping[str, float], metric: str
) -> list[tuple[Trained, float]]:
    """The usable candidates, best first, with the value that ranked them.

    That value is the mean over folds where a candidate has folds, else the one on the
    validation rows. Equals are ordered by fewer parameters, then as in the pipeline.

    Args:
        candidates: All of tonight's; those without a validation value are left out.
        validation: Candidate to the metric on the validation rows.
        metric: The pipeline's; higher is better.
    """

    def value(candidate: Trained) -> float:
        if candidate.folds:
            return fmean(fold[metric] for fold in candidate.folds)
        return validation[candidate.name]

    usable = [(each, value(each)) for each in candidates if each.name in validation]
    return sorted(usable, key=lambda pair: (-round(pair[1], 9), pair[0].parameters))
