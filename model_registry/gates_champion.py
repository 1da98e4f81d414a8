"""Gates against the champion: better over all, and no class and no slice left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from model_registry.evidence import Evidence
from model_registry.gates_sound import waved
from model_registry.proportions import (
    Pairs,
    fell,
    fewest_rows,
    holds,
    holm,
    rows_to_hold,
    telling_margin,
    together,
)
from model_registry.results import Failing, GateResult, most_rows
from model_registry.words import counted

FIRST = "first version: nothing is in Production yet"
MISS = 0.1  # how often an equal model may fail one of the groups where rows allow it


def beats_champion(evidence: Evidence, *, margin: float = 0.0, worth: float = 0.02) -> GateResult:
    """Better than Production by more than `margin`, at the level that tonight's look has left.

    `worth` is a gain one would not like to miss: where nothing shows, the sentence says
    whether such a gain would have shown.
    """
    if evidence.champion is None:
        return waved("beats_champion", FIRST)
    found, level = evidence.difference, evidence.level
    low, chance = found.at_least(level), (1 - evidence.confidence) / 2
    said = (
        f"{evidence.metric} {found.first:.4f} against {found.second:.4f} of "
        f"{evidence.champion_name} on {counted(found.rows, 'row')}: {found.difference:+.4f}, "
        f"{evidence.confidence:.0%} CI [{found.low:+.4f}, {found.high:+.4f}], {_p(found.p)}"
    )
    said += f"; {_at_look(evidence, low, margin)}"
    passed, worse = low > margin, found.at_most(chance) < 0
    more, missing = (0, "") if passed or worse else _missing(evidence, margin, worth)
    numbers = {
        "challenger": found.first,
        "champion": found.second,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "error": found.error,
        "p": found.p,
        "margin": margin,
        "look": evidence.wear.looks + 1,
        "fresh": evidence.wear.fresh,
        "level": level,
        "power": found.power(margin + worth, level),
    }
    failing: Failing = "worse" if worse else "unsure"
    return GateResult("beats_champion", passed, said + missing, numbers, failing, more)


def _at_look(evidence: Evidence, low: float, margin: float) -> str:
    look = f"look {evidence.wear.looks + 1:.3g} of {evidence.worn_after} at these rows"
    if len(evidence.wear.shares) > 1:
        look += f" on average, {evidence.wear.fresh:.0%} of them new"
    if evidence.wear.since:
        look += f", the first on {evidence.wear.since}"
    if not evidence.level:
        return (
            f"{look}: the test set is worn and proves nothing any more; new labelled rows "
            "make a new one"
        )
    worn = " (worn)" if evidence.worn else ""
    return (
        f"{look}{worn}, level {evidence.level:.2g}: at least {low:+.4f}, needs above {margin:+.4f}"
    )


def _missing(evidence: Evidence, margin: float, worth: float) -> tuple[int, str]:
    """How many more rows would settle it, and that in words.

    Where the challenger looks worse it is 0: more rows would only confirm that.
    """
    found, level = evidence.difference, evidence.level
    if not level:
        return 0, ""
    gain = found.difference - margin
    if gain > 0:
        more = max(1, found.rows_to_see(gain, level) - found.rows)
        return (
            more,
            f"; about {counted(more, 'more test row')} would show a difference of this size",
        )
    power = found.power(worth + margin, level)
    said = f"; a gain of {worth + margin:.3f} would have shown on {power:.0%} of such nights"
    if found.difference < 0:
        return 0, said
    more = max(0, found.rows_to_see(worth, level) - found.rows)
    return more, said + (f", and on 80% with {counted(more, 'more test row')}" if more else "")


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.0005 else f"p {value:.3f}"


def recall_holds(
    evidence: Evidence,
    *,
    margin: float = 0.05,
    most: float = 0.2,
    level: float = 0.04,
    margins: Mapping[str, float] | None = None,
    block_unknown: float = 0,
) -> GateResult:
    """No class lost recall: a fall is excluded in each, as small a one as its rows can tell.

    Args:
        evidence: Both models on the same rows.
        margin: Smaller falls than this are let pass in any class.
        most: A fall of this size is excluded in every class, however rare.
        level: Of each class's test; 0.04 keeps its real error under 0.05 from 15 rows on.
        margins: Class to the fall that must be excluded in it.
        block_unknown: 1: classes with too few rows to tell keep the champion.
    """
    if evidence.champion is None:
        return waved("recall_holds", FIRST)
    rule = Rule(margin, most, level, margins or {}, bool(block_unknown))
    least = fewest_rows(most, level)
    groups = list(evidence.of_classes())
    small = [g for g in groups if g.rows < least and g.name not in rule.margins]
    groups = [g for g in groups if g not in small]
    if small:
        groups.append(together("rare classes", small))
    return _all_hold("recall_holds", "recall", evidence, groups, rule)


def slices_hold(
    evidence: Evidence,
    *,
    margin: float = 0.05,
    most: float = 0.2,
    level: float = 0.04,
    margins: Mapping[str, float] | None = None,
    block_unknown: float = 0,
) -> GateResult:
    """No named slice lost right answers; options as of `recall_holds`, by `column=value`."""
    if evidence.champion is None:
        return waved("slices_hold", FIRST)
    if not evidence.slices:
        return waved("slices_hold", "no slices are named in evaluation.slices")
    rule = Rule(margin, most, level, margins or {}, bool(block_unknown))
    return _all_hold("slices_hold", "accuracy", evidence, evidence.of_slices(), rule)


@dataclass(frozen=True)
class Rule:
    """The options of a gate on groups, as `recall_holds` documents them."""

    margin: float
    most: float
    level: float
    margins: Mapping[str, float]
    block_unknown: bool


@dataclass(frozen=True)
class Held:
    """What became of one group: the fall asked about, whether it is excluded, whether it fell."""

    pairs: Pairs
    margin: float
    p: float
    fell: float
    passed: bool
    more_rows: int


def _all_hold(
    gate: str, what: str, evidence: Evidence, groups: Iterable[Pairs], rule: Rule
) -> GateResult:
    """Each group that has rows enough, by itself; all must hold."""
    least = fewest_rows(rule.most, rule.level)
    everyone = list(groups)
    known = [g for g in everyone if g.rows >= least or g.name in rule.margins]
    unknown = [g for g in everyone if g not in known]
    held = _judged(known, rule)
    failed = [h for h in held if not h.passed]
    blocked = bool(unknown) and rule.block_unknown
    worse = any(h.fell <= rule.level for h in failed)
    said = _told(what, evidence, held, failed)
    if unknown:
        rows = sum(g.rows for g in unknown)
        few = f"{_names(unknown)} ({counted(rows, 'row')})"
        said += f"; too few rows to tell ({least} are needed): {few}"
    numbers = {f"{key}.{h.pairs.name}": value for h in held for key, value in _numbers(h).items()}
    more = most_rows(h.more_rows for h in failed)
    failing: Failing = "worse" if worse else "unsure"
    return GateResult(gate, not failed and not blocked, said, numbers, failing, more)


def _judged(groups: list[Pairs], rule: Rule) -> list[Held]:
    corrected = holm([fell(g) for g in groups])
    judged = []
    for group, harmed in zip(groups, corrected, strict=True):
        margin = rule.margins.get(group.name) or telling_margin(
            group,
            least=rule.margin,
            most=rule.most,
            level=rule.level,
            miss=MISS / len(groups),
        )
        p = holds(group, margin)
        more = max(1, rows_to_hold(group, margin, level=rule.level) - group.rows)
        more = more if group.fall < margin else 0  # else they would only confirm the fall
        judged.append(Held(group, margin, p, harmed, p <= rule.level, more))
    return judged


def _told(what: str, evidence: Evidence, held: list[Held], failed: list[Held]) -> str:
    if failed:
        shown = sorted(failed, key=lambda h: h.fell)[:3]
        said = "; ".join(_of_one(what, h, evidence) for h in shown)
        rest = len(failed) - len(shown)
        return said + (f"; and {rest} more" if rest else "")
    if not held:
        return f"{what}: 0 groups have rows enough to judge"
    nearest = max(held, key=lambda h: h.p)
    return f"{len(held)} of {len(held)} hold; nearest: {_of_one(what, nearest, evidence)}"


def _of_one(what: str, held: Held, evidence: Evidence) -> str:
    pairs = held.pairs
    ours, theirs = pairs.first / pairs.rows, pairs.second / pairs.rows
    said = f"{_names([pairs])}: {what} {ours:.3f} against {theirs:.3f} of "
    said += f"{evidence.champion_name} on {counted(pairs.rows, 'row')}"
    points = f"{100 * held.margin:.3g} points"
    if held.passed:
        return f"{said}, a fall of {points} is excluded ({_p(held.p)})"
    if held.fell <= 0.05:
        return f"{said}: it fell ({_p(held.fell)}), and {points} cannot be excluded"
    said += f", a fall of {points} cannot be excluded ({_p(held.p)})"
    more = counted(held.more_rows, "more row")
    return said + (f"; about {more} of it would settle it" if held.more_rows else "")


def _names(groups: Iterable[Pairs]) -> str:
    return ", ".join(f"{g.name} ({', '.join(g.members)})" if g.members else g.name for g in groups)


def _numbers(held: Held) -> dict[str, float]:
    return {"fall": held.pairs.fall, "margin": held.margin, "p": held.p, "fell": held.fell}
