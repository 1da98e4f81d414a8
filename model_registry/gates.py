"""The gates between a challenger and Production: each judges by numbers and says so.

`GATES` is the table. A gate is a function of `Evidence` with keyword-only options that
returns a `GateResult`; being in the table puts it under the contract tests.
"""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_registry.errors import GateError
from model_registry.evidence import Evidence, answers

__all__ = ["GATES", "Decision", "Evidence", "GateResult", "check", "decide"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateResult:
    """What one gate said."""

    gate: str
    passed: bool
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What all gates said together."""

    promote: bool
    reason: str
    results: tuple[GateResult, ...]


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


def beats_majority(evidence: Evidence, *, margin: float = 0.0) -> GateResult:
    """Better than always answering the commonest class of the test rows."""
    commonest = np.bincount(evidence.labels, minlength=len(evidence.classes)).argmax()
    constant = np.full(len(evidence.labels), commonest, np.int64)
    return _above("beats_majority", "the majority baseline", evidence, constant, margin)


def beats_floor(evidence: Evidence, *, margin: float = 0.0) -> GateResult:
    """Better than the averaged-embedding candidate, where the challenger is not that one."""
    if evidence.challenger_is_floor:
        return _waved("beats_floor", "the averaged-embedding floor is the challenger")
    if evidence.floor is None:
        return _waved("beats_floor", "no averaged-embedding floor was trained tonight")
    floor = answers(evidence.floor)
    return _above("beats_floor", "the averaged-embedding floor", evidence, floor, margin)


def beats_champion(evidence: Evidence, *, margin: float = 0.0) -> GateResult:
    """Better than Production by more than `margin`, outside the paired interval."""
    if evidence.champion is None:
        return _waved("beats_champion", "first version: nothing is in Production yet")
    found = evidence.difference(answers(evidence.challenger), answers(evidence.champion))
    name = f"v{evidence.champion_version}" if evidence.champion_version else "the champion"
    said = (
        f"{evidence.metric} {found.first:.4f} against {found.second:.4f} of {name}: "
        f"{found.difference:+.4f}, {evidence.confidence:.0%} CI [{found.low:+.4f}, "
        f"{found.high:+.4f}], p {found.p:.3f}; needs a lower end above {margin:+.4f}"
    )
    numbers = {
        "challenger": found.first,
        "champion": found.second,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "margin": margin,
    }
    return GateResult("beats_champion", found.low > margin, said, numbers)


GATES: dict[str, Callable[..., GateResult]] = {
    "finite": finite,
    "not_collapsed": not_collapsed,
    "beats_majority": beats_majority,
    "beats_floor": beats_floor,
    "beats_champion": beats_champion,
}


def check(choices: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse gates and options that do not exist, before a night is spent on them.

    Raises:
        GateError: no gate at all, an unknown one or an unknown option, with the nearest.
    """
    asked = list(choices)
    if not asked:
        raise GateError(f"gates: none asked for; name at least one of {', '.join(GATES)}")
    for name, options in asked:
        if name not in GATES:
            raise GateError(_unknown("gate", name, GATES))
        parameters = inspect.signature(GATES[name]).parameters.values()
        known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        for option, number in options.items():
            if option not in known:
                raise GateError(f"gate {name!r}: " + _unknown("option", option, known))
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise GateError(f"gate {name!r}: {option} must be a number, got {number!r}")


def decide(evidence: Evidence, choices: Iterable[tuple[str, Mapping[str, Any]]]) -> Decision:
    """Ask every gate; all must pass.

    Args:
        evidence: The models' answers to the same test rows.
        choices: Gates by name with their options, in the order to ask and report them.

    Raises:
        GateError: no gate at all, an unknown one or an unknown option.
    """
    asked = list(choices)
    check(asked)
    results = tuple(_asked(name, options, evidence) for name, options in asked)
    failed = [result for result in results if not result.passed]
    if failed:
        reason = "; ".join(f"{result.gate}: {result.sentence}" for result in failed)
        return Decision(promote=False, reason=f"kept: {reason}", results=results)
    last = next((r for r in results if r.gate == "beats_champion"), results[-1])
    reason = f"all {len(results)} gates passed; {last.sentence}"
    return Decision(promote=True, reason=reason, results=results)


def _asked(name: str, options: Mapping[str, Any], evidence: Evidence) -> GateResult:
    """One gate's word; a gate that cannot judge does not let through."""
    try:
        return GATES[name](evidence, **options)
    except Exception as error:
        logger.exception("gate %s could not judge", name)
        said = f"could not judge: {type(error).__name__}: {error}"
        return GateResult(name, passed=False, sentence=said)


def _waved(gate: str, why: str) -> GateResult:
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


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
    return f"unknown {what} {name!r}; {hint}"
