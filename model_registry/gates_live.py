"""The gate over live traffic: how the challenger did as the champion's shadow."""

from __future__ import annotations

from dataclasses import dataclass

from model_registry.evidence import Evidence, Shadowed
from model_registry.results import GateResult


@dataclass(frozen=True)
class Live:
    """The part of the evidence that this gate asks about, where there is no more of it.

    Attributes:
        shadow: What live traffic showed of the challenger; None where there was none.
        waits: It is asked again when a person approves.
    """

    shadow: Shadowed | None
    waits: bool = False


def shadow(
    evidence: Evidence | Live,
    *,
    rows: float = 100,
    failed: float = 0.0,
    disagree: float = 0.5,
    slower: float = 3.0,
    required: float = 0,
) -> GateResult:
    """Beside the champion on live rows: it answered, in time, and not something else altogether.

    A night rarely has such rows, because its challenger is new. Where a person is asked first
    the challenger is shadowed while it waits, and this is asked again when it is approved.

    Args:
        evidence: With what the shadow found, if anything.
        rows: Fewer live rows are not judged, but for rows that failed.
        failed: Share of rows that it may leave without a finite answer.
        disagree: Share of rows that it may answer otherwise than the champion.
        slower: How many times as long as the champion it may take over a row.
        required: 1: what no shadow has judged is not approved.
    """
    found = evidence.shadow or Shadowed()
    seen, needed = found.rows + found.failed, max(int(rows), 1)
    said, numbers = _told(found, rows=seen)
    wrong = _wrong(found, failed=failed, disagree=disagree, slower=slower, judged=seen >= needed)
    if wrong:
        return GateResult("shadow", passed=False, sentence=f"{wrong}: {said}", numbers=numbers)
    if seen >= needed:
        return GateResult("shadow", passed=True, sentence=said, numbers=numbers)
    little = f"too little shadow traffic yet, {needed:,} live rows are judged: {said}"
    said = little if seen else "no shadow traffic yet, 0 live rows"
    if evidence.waits:
        said += "; asked again at `nocturne approve`"
    passed = evidence.waits or not required
    return GateResult("shadow", passed, said, numbers, failing="unsure")


def _wrong(found: Shadowed, *, failed: float, disagree: float, slower: float, judged: bool) -> str:
    """What speaks against it, in words; nothing where nothing does."""
    if found.error:
        return f"it cannot be loaded where it would serve ({found.error})"
    if found.failed > failed * (found.rows + found.failed):
        return f"it left live rows without an answer, at most {failed:.1%} are allowed"
    if judged and not 1 - found.agreement <= disagree:
        return f"it disagrees with the champion, on at most {disagree:.1%} is allowed"
    if judged and not found.times_as_long <= slower:
        return f"it takes too long, at most {slower:g} times the champion's time is allowed"
    return ""


def _told(found: Shadowed, *, rows: int) -> tuple[str, dict[str, float]]:
    numbers = {
        "rows": rows,
        "failed": found.failed,
        "agreement": found.agreement,
        "total_variation": found.total_variation,
        "milliseconds": found.milliseconds,
        "champion_milliseconds": found.champion_milliseconds,
    }
    said = (
        f"{found.failed:,} of {rows:,} live rows without an answer, {found.agreement:.1%} of the "
        f"others answered as the champion did, scores {found.total_variation:.3f} apart, "
        f"{found.milliseconds:.2f} ms a row against {found.champion_milliseconds:.2f}"
    )
    return said, numbers
