"""The gates between a challenger and Production: each judges by numbers and says so.

`GATES` is the table. A gate is a function of `Evidence` with keyword-only options that
returns a `GateResult`; being in the table puts it under the contract tests.
"""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from model_registry import gates_champion, gates_live, gates_sound
from model_registry.errors import GateError
from model_registry.evidence import Evidence, Measures, Shadowed
from model_registry.results import Decision, GateResult, PromotionPolicy
from model_registry.verdicts import conclude

__all__ = [
    "GATES",
    "Decision",
    "Evidence",
    "GateResult",
    "Measures",
    "PromotionPolicy",
    "Shadowed",
    "check",
    "decide",
]

logger = logging.getLogger(__name__)

GATES: dict[str, Callable[..., GateResult]] = {
    "finite": gates_sound.finite,
    "not_collapsed": gates_sound.not_collapsed,
    "beats_majority": gates_sound.beats_majority,
    "beats_floor": gates_sound.beats_floor,
    "calibrated": gates_sound.calibrated,
    "fast_enough": gates_sound.fast_enough,
    "golden_rows": gates_sound.golden_rows,
    "artifact_intact": gates_sound.artifact_intact,
    "same_rows": gates_sound.same_rows,
    "recall_holds": gates_champion.recall_holds,
    "slices_hold": gates_champion.slices_hold,
    "shadow": gates_live.shadow,
    "beats_champion": gates_champion.beats_champion,
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
            _check_value(name, option, number)


def _check_value(gate: str, option: str, value: Any) -> None:
    """A number; for `margins`, numbers by class or slice."""
    numbers = {option: value}
    if option == "margins":
        if not isinstance(value, Mapping):
            raise GateError(
                f"gate {gate!r}: margins must map names to numbers, got {value!r}; "
                "write for instance {urgent: 0.02}"
            )
        numbers = {f"margins[{name!r}]": number for name, number in value.items()}
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise GateError(f"gate {gate!r}: {name} must be a number, got {number!r}")


def decide(
    evidence: Evidence,
    choices: Iterable[tuple[str, Mapping[str, Any]]],
    policy: PromotionPolicy | None = None,
) -> Decision:
    """Ask every gate; all must pass, or the policy says otherwise of one that is not worse.

    Args:
        evidence: The models' answers to the same test rows.
        choices: Gates by name with their options, in the order to ask and report them.
        policy: What is done about the verdict; the cautious one where None.

    Raises:
        GateError: no gate at all, an unknown one or an unknown option.
    """
    asked = list(choices)
    check(asked)
    results = [_asked(name, options, evidence) for name, options in asked]
    return conclude(evidence, results, policy or PromotionPolicy())


def _asked(name: str, options: Mapping[str, Any], evidence: Evidence) -> GateResult:
    """One gate's word; a gate that cannot judge does not let through."""
    try:
        return GATES[name](evidence, **options)
    except Exception as error:
        logger.exception("gate %s could not judge", name)
        said = f"could not judge: {type(error).__name__}: {error}"
        return GateResult(name, passed=False, sentence=said)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
    return f"unknown {what} {name!r}; {hint}"
