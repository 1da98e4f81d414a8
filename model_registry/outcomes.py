"""What a decision came to, read from its ledger.

PromotionRefused (RegistryError): a rule forbids the promotion; recorded in the ledger
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_registry import decisions
from model_registry.chain import Entry
from model_registry.errors import PromotionLost, RegistryError
from model_registry.ledger import Ledger


class PromotionRefused(RegistryError):
    """A rule forbids the promotion, and the ledger says so.

    Attributes:
        rule: barred, same, unfit, shadow or undone.
        number: The entry that records it.
    """

    exit_code = 3  # of the command line: refused

    def __init__(self, rule: str, number: int, why: str) -> None:
        self.rule = rule
        self.number = number
        super().__init__(f"promotion refused ({rule}, ledger entry {number}): {why}")


@dataclass(frozen=True)
class Outcome:
    """A decision that is in the ledger.

    Attributes:
        kind: What was decided.
        number: The entry that decides it.
        version: The version it is about.
        why: The reason that was given.
        applied: MLflow shows it; False for a rollback while MLflow is away.
    """

    kind: Literal["promoted", "rolled back", "kept", "proposed", "rejected"]
    number: int
    version: str
    why: str
    applied: bool = True


def outcome_of(ledger: Ledger, number: int) -> Outcome:
    """What an entry decided.

    Raises:
        PromotionLost: it refused a promotion, or was overtaken before it was done.
        PromotionRefused: it refused a promotion, or was turned back.
        RegistryError: there is no such entry, or it decides nothing.
    """
    entry = ledger.entry(number)
    if entry is None:
        raise RegistryError(f"ledger {ledger.where}: there is no entry {number}; verify it")
    body = entry.body
    match entry.kind:
        case "intent":
            return _moved(ledger, entry)
        case "kept" | "proposed" | "rejected":
            return Outcome(entry.kind, number, body["version"], entry.why)
        case "refused" if body["rule"] == "lost":
            raise PromotionLost(body["before"], body["expected"])
        case "refused":
            raise PromotionRefused(body["rule"], number, entry.why)
    raise RegistryError(f"ledger {ledger.where}: entry {number} ({entry.kind}) decides nothing")


def _moved(ledger: Ledger, intent: Entry) -> Outcome:
    number, body = intent.number, intent.body
    fate, why = decisions.fate(number, ledger.follow(intent.head))
    if fate == "undone":
        raise PromotionRefused("undone", number, why)
    if body["action"] == decisions.ROLLBACK:
        return Outcome("rolled back", number, body["version"], intent.why, fate == "done")
    if fate == "superseded":
        champion = decisions.read(ledger).champion
        raise PromotionLost(champion.version if champion else None, body["before"])
    return Outcome("promoted", number, body["version"], intent.why, fate == "done")
