"""Gates on the challenger itself: is it sound, and is what would serve what was judged?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_registry.evidence import Evidence, answers
from model_registry.results import GateResult


def finite(evidence: Evidence) -> GateResult:
    """Every probability and every other number is finite, and each row sums to one."""
    bad = int((~np.isfinite(evidence.challenger)).any(axis=1).sum())
    sums = np.abs(np.nan_to_num(evidence.challenger, posinf=2.0).sum(axis=1) - 1.0)
    off = int(((sums > 1e-3) | (evidence.challenger < 0).any(axis=1)).sum())
    numbers = sorted(name for name, number in evidence.extra.items() if not np.isfinite(number))
    rows = len(evidence.labels)
    if bad:
        said = f"metric not finite: {bad} of {rows} rows have a probability that is no number"
    elif off:
        said = f"{off} of {rows} rows have probabilities that are negative or do not sum to 1"
    elif numbers:
        said = f"metric not finite: {', '.join(numbers)}"
    else:
        said = f"all probabilities of {rows} rows are finite and sum to 1"
    return GateResult(
        "finite", not (bad or off or numbers), said, {"not_finite": bad, "not_one": off}
    )


def not_collapsed(evidence: Evidence, *, share: float = 0.5) -> GateResult:
    """At least `share` of the classes among the test rows, and two of them, are predicted."""
    present = np.unique(evidence.labels)
    predicted = np.intersect1d(np.unique(answers(evidence.challenger)), present)
    needed = max(2, int(np.ceil(share * len(present))))
    missing = [str(evidence.classes[c]) for c in np.setdiff1d(present, predicted)]
    said = f"{len(predicted)} of {len(present)} classes predicted, {needed} needed"
    if missing:
        said += f"; never: {', '.join(missing[:5])}"
    numbers = {"predicted": len(predicted), "classes": len(present), "needed": needed}
    return GateResult("not_collapsed", len(predicted) >= needed, said, numbers)


def beats_majority(evidence: Evidence, *, margin: float = 0.0, level: float = 0.01) -> GateResult:
    """Better than always answering the commonest class of the test rows, and than chance.

    A constant answer has a poor macro-F1, which answers at random beat; so the challenger's own
    answers, dealt to the rows at random, must do as well as it does with probability `level` at
    most.
    """
    commonest = np.bincount(evidence.labels, minlength=len(evidence.classes)).argmax()
    constant = np.full(len(evidence.labels), commonest, np.int64)
    above = _above("beats_majority", "the majority baseline", evidence, constant, margin)
    if not above.passed:
        return above
    p = evidence.by_chance()
    said = f"{above.sentence}; by chance as much with p = {p:.3f}, at most {level:g} is allowed"
    if p > level:
        said += ": nothing shows that there is something to learn"
    return GateResult(above.gate, p <= level, said, {**above.numbers, "p": p, "level": level})


def beats_floor(evidence: Evidence, *, margin: float = 0.0, errors: float = 0.0) -> GateResult:
    """Better than the averaged-embedding candidate, where the challenger is not that one.

    Where both answer every row right there is nothing better, and the challenger passes. With
    `errors` it also passes where it falls short by at most so many standard errors of the paired
    difference: on easy texts, the floor may be as good, and few rows cannot tell.
    """
    if evidence.challenger_is_floor:
        return waved("beats_floor", "the averaged-embedding floor is the challenger")
    if evidence.floor is None:
        return waved("beats_floor", "no averaged-embedding floor was trained tonight")
    floor = answers(evidence.floor)
    ours, theirs = evidence.value(answers(evidence.challenger)), evidence.value(floor)
    if ours == theirs == 1:
        said = f"{evidence.metric} 1.0000, as the averaged-embedding floor: the most"
        return waved("beats_floor", said)
    above = _above("beats_floor", "the averaged-embedding floor", evidence, floor, margin)
    if above.passed:
        return above
    error = evidence.standard_error(floor)
    short = f"short by {theirs + margin - ours:.4f}, the standard error is {error:.4f}"
    said = f"{above.sentence}; {short}, {errors:g} of it allowed"
    passed = errors > 0 and ours + errors * error >= theirs + margin
    numbers = {**above.numbers, "standard_error": error, "errors": errors}
    return GateResult(above.gate, passed, said, numbers)


def calibrated(evidence: Evidence, *, most: float = 0.5, margin: float = 0.02) -> GateResult:
    """Calibration error at most `most`, and not above the champion's by more than `margin`.

    It is worse than the champion where the difference is beyond both margin and chance.
    """
    ours, theirs = evidence.measured.ece, evidence.champion_measured.ece
    if ours is None:
        return waved("calibrated", "no calibration error was measured")
    numbers = {"challenger": ours, "most": most}
    if not ours <= most:
        said = f"calibration error {ours:.3f}, at most {most:.3f} is allowed"
        return GateResult("calibrated", passed=False, sentence=said, numbers=numbers)
    if theirs is None:
        said = f"calibration error {ours:.3f}, at most {most:.3f}"
        return GateResult("calibrated", passed=True, sentence=said, numbers=numbers)
    low = evidence.calibration_low
    chance = low is not None and low <= 0
    passed = ours - theirs <= margin or chance
    said = f"calibration error {ours:.3f} against {theirs:.3f} of {evidence.champion_name}, "
    said += f"at most {margin:.3f} more is allowed"
    if passed and ours - theirs > margin:
        said += "; the difference may be chance"
    numbers |= {"champion": theirs, "margin": margin}
    return GateResult("calibrated", passed, said, numbers, failing="worse")


def fast_enough(evidence: Evidence, *, milliseconds: float = 5_000.0) -> GateResult:
    """One raw row, scored alone in a fresh process, within so many milliseconds."""
    spent = evidence.measured.latency_milliseconds
    if spent is None:
        return waved("fast_enough", "no latency was measured")
    said = f"one row takes {spent:.1f} ms, at most {milliseconds:g} ms are allowed"
    numbers = {"milliseconds": spent, "most": milliseconds}
    return GateResult("fast_enough", spent <= milliseconds, said, numbers)


def golden_rows(evidence: Evidence, *, most: float = 1e-5) -> GateResult:
    """The bundle, in a fresh process, answers the golden rows as training did."""
    off = evidence.measured.golden_difference
    if off is None:
        return waved("golden_rows", "no golden rows were answered")
    said = f"golden rows differ from training's answers by {off:.1e}, at most {most:.0e} is allowed"
    return GateResult("golden_rows", off <= most, said, {"difference": off, "most": most})


def same_rows(evidence: Evidence) -> GateResult:
    """Challenger and champion were scored on the same test rows, by digest."""
    if evidence.champion is None:
        return waved("same_rows", "first version: nothing is in Production yet")
    ours, theirs = evidence.measured.test_digest, evidence.champion_measured.test_digest
    if ours is None or theirs is None:
        return waved("same_rows", "the test rows were not named by a digest")
    passed = ours == theirs
    said = f"both models answered test set {ours[:12]}"
    if not passed:
        said = f"test set {theirs[:12]} of {evidence.champion_name} differs from {ours[:12]}; "
        said += "score both on tonight's rows"
    return GateResult("same_rows", passed, said, {"rows": len(evidence.labels)})


def artifact_intact(evidence: Evidence) -> GateResult:
    """The bundle that was registered is the one that answered the test rows, by digest."""
    kept, scored = evidence.measured.digest, evidence.measured.scored_digest
    if kept is None or scored is None:
        return waved("artifact_intact", "no bundle was registered")
    said = f"bundle {kept[:12]} is the one that answered the test rows"
    if kept != scored:
        said = f"bundle {kept[:12]} is registered, but {scored[:12]} answered the test rows"
    return GateResult("artifact_intact", kept == scored, said)


def waved(gate: str, why: str) -> GateResult:
    """Let through because there is nothing to judge."""
    return GateResult(gate, passed=True, sentence=why)


def _above(
    gate: str, what: str, evidence: Evidence, other: NDArray[np.int64], margin: float
) -> GateResult:
    ours, theirs = evidence.value(answers(evidence.challenger)), evidence.value(other)
    passed = ours > theirs + margin
    sign = ">" if ours > theirs else "<" if ours < theirs else "="
    said = f"{evidence.metric} {ours:.4f} {sign} {theirs:.4f} of {what}"
    if margin:
        said += f", needs {margin:+.4f}"
    return GateResult(gate, passed, said, {"challenger": ours, "other": theirs, "margin": margin})
