"""Which candidate challenges the champion. Validation rows choose; test rows never do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tasks.references import Prepared, Trained


def ranking(
    candidates: Sequence[Trained], validation: Mapping[str, float], metric: str, prepared: Prepared
) -> list[tuple[Trained, float]]:
    """The usable candidates, best first, with the value that ranked them.

    That value is the one on all rows that folds held out, where a candidate has folds: a mean over
    folds would have macro-F1 of a rare class from folds with a row or none of it (Forman and
    Scholz 2010, https://doi.org/10.1145/1882471.1882479). Else it is the one on the validation
    rows. Those that are less than one row's answer below the best count as its
    equals: of them the one that is least surprised (log loss), then the smaller one.

    Args:
        candidates: All of tonight's; those without a validation value are left out.
        validation: Candidate to the metric on the validation rows.
        metric: The pipeline's; higher is better.
        prepared: How many rows judged: the train rows where there are folds, else validation's.
    """

    def value(candidate: Trained) -> float:
        return candidate.out_of_fold.get(metric, validation[candidate.name])

    def surprise(candidate: Trained) -> float:
        return (candidate.out_of_fold or candidate.validation).get("log_loss", 0.0)

    usable = [(each, value(each)) for each in candidates if each.name in validation]
    judged = (
        prepared.train_rows
        if any(each.out_of_fold for each, _ in usable)
        else prepared.validation_rows
    )
    equal = max((found for _, found in usable), default=0.0) - 1 / max(judged, 1) - 1e-9

    def order(pair: tuple[Trained, float]) -> tuple[float, float, int]:
        candidate, found = pair
        if found >= equal:
            return -float("inf"), surprise(candidate), candidate.parameters
        return -round(found, 9), 0.0, candidate.parameters

    return sorted(usable, key=order)


def in_time(
    ranked: Sequence[Trained], budget: float | None, milliseconds: Callable[[Trained], float]
) -> tuple[Trained, dict[str, float]]:
    """The best candidate that answers one row in time, and what was timed to find it.

    Timing costs a process, so it goes best first and no further than one that keeps the budget.
    Where none keeps it the best of all is chosen, and its gate will say so.

    Args:
        ranked: Usable candidates, best first; at least one.
        budget: Milliseconds of one row alone; None: there is none.
        milliseconds: Times a candidate.
    """
    timed: dict[str, float] = {}
    if budget is None or len(ranked) == 1:
        return ranked[0], timed
    for each in ranked:
        timed[each.name] = milliseconds(each)
        if timed[each.name] <= budget:
            return each, timed
    return ranked[0], timed


def passed_over(challenger: str, timed: Mapping[str, float], budget: float | None) -> str:
    """A sentence on better candidates that are too slow, or on all being so; else nothing."""
    slow = {name: spent for name, spent in timed.items() if budget and not spent <= budget}
    if not slow:
        return ""
    told = ", ".join(f"{name} {spent:.1f} ms" for name, spent in slow.items())
    if challenger in slow:
        return f"No candidate answers one row alone within {budget:g} ms: {told}."
    return (
        f"Better, but over the budget of {budget:g} ms for one row alone, and so passed over: "
        f"{told}; {challenger} takes {timed[challenger]:.1f} ms."
    )
