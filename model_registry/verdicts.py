"""From the gates' answers to one verdict, in a sentence with the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence

from model_registry.evidence import Evidence
from model_registry.results import (
    WORDS,
    Decision,
    GateResult,
    PromotionPolicy,
    Word,
    most_rows,
)
from model_registry.words import counted


def conclude(
    evidence: Evidence, results: Sequence[GateResult], policy: PromotionPolicy
) -> Decision:
    """Better, not worse and fresher, not enough evidence, worse, or unfit.

    Args:
        evidence: What the gates judged.
        results: What they said.
        policy: What is done about a challenger that is not worse, and about other classes.
    """
    failed = [result for result in results if not result.passed]
    word = _word(evidence, failed, policy)
    said = _sentence(word, evidence, results, failed, policy)
    promote, why = _promote(word, evidence, policy)
    classes = _classes(evidence)
    reason = "; ".join(part for part in (f"{WORDS[word]}: {said}", classes, why) if part)
    more = most_rows(result.more_rows for result in failed) if word == "unsure" else 0
    return Decision(promote, word, reason, tuple(results), more)


def _word(evidence: Evidence, failed: Sequence[GateResult], policy: PromotionPolicy) -> Word:
    for failing in ("unfit", "worse"):
        if any(result.failing == failing for result in failed):
            return failing
    if not failed:
        return "better"
    alone = [result.gate for result in failed] == ["beats_champion"]
    return "fresher" if alone and evidence.level and _loss_excluded(evidence, policy) else "unsure"


def _loss_excluded(evidence: Evidence, policy: PromotionPolicy) -> bool:
    return evidence.difference.at_least((1 - evidence.confidence) / 2) > -policy.not_worse


def _sentence(
    word: Word,
    evidence: Evidence,
    results: Sequence[GateResult],
    failed: Sequence[GateResult],
    policy: PromotionPolicy,
) -> str:
    if word == "better":
        last = next((r for r in results if r.gate == "beats_champion"), results[-1])
        return f"{last.sentence}; all {len(results)} gates passed"
    if word == "fresher":
        return (
            f"a loss of {policy.not_worse:g} {evidence.metric} is excluded, a gain is not shown: "
            f"{failed[0].sentence}"
        )
    counted = [result for result in failed if result.failing == word]
    return "; ".join(f"{result.gate}: {result.sentence}" for result in counted)


def _promote(word: Word, evidence: Evidence, policy: PromotionPolicy) -> tuple[bool, str]:
    """Whether the policy lets this verdict through, and why where it is the policy's word."""
    if word not in ("better", "fresher"):
        return False, "kept" if word == "fresher" else ""
    new = evidence.new_classes if evidence.champion is not None else ()
    if evidence.vanished and policy.vanished_classes == "keep":
        return False, "kept (policy.vanished_classes: keep)"
    if new and policy.new_classes == "keep":
        return False, "kept (policy.new_classes: keep)"
    if word == "better":
        return True, ""
    if new and policy.new_classes == "promote":
        return True, "promoted for its new classes (policy.new_classes: promote)"
    promoted = policy.fresher == "promote"
    return promoted, f"{'promoted' if promoted else 'kept'} (policy.fresher: {policy.fresher})"


def _classes(evidence: Evidence) -> str:
    """What could not be compared, in words; nothing where the classes are the same."""
    said = []
    if evidence.champion is None:
        return ""
    for names, what in (
        (evidence.new_classes, "does not know"),
        (evidence.vanished, "alone knows"),
    ):
        if names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
            said.append(f"{evidence.champion_name} {what} {shown}")
    if not said:
        return ""
    if not evidence.comparable:
        return f"{evidence.champion_name} knows none of the classes of tonight's rows"
    left = int((~evidence.shared.rows).sum())
    several = len(evidence.shared.names) > 1
    compared = f"the {len(evidence.shared.names)} classes" if several else "the one class"
    left_out = f", {counted(left, 'row')} left out" if left else ""
    return f"{', '.join(said)}: compared on {compared} both know{left_out}"
