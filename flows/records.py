"""Questions to the ledger: what was decided, and why."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flows.options import place_of
from flows.promotion import shadow_of
from model_registry.explaining import Explanation, explain
from model_registry.history import decisions_in
from tasks.config import Pipeline
from tasks.promotions import open_promotions


def history_of(pipeline: Pipeline) -> list[dict[str, Any]]:
    """All decisions of a pipeline as plain values, oldest first; MLflow is not asked.

    Raises:
        LedgerBroken: the chain does not hold.
    """
    entries = list(open_promotions(pipeline).ledger.follow())
    return [asdict(one) for one in decisions_in(entries)]


def explanation_of(pipeline: Pipeline, version: str | None) -> Explanation:
    """The story of a version, of the champion where None; MLflow is not asked.

    Raises:
        RegistryError: no decision was made about it.
        LedgerBroken: the chain does not hold.
    """
    promotions = open_promotions(pipeline)
    story = explain(list(promotions.ledger.follow()), version)
    champion = promotions.state().champion
    said = shadow_of(pipeline, story.version, champion)
    links = story.facts.get("links", {})
    if "report" in links:
        links = {**links, "report": place_of(links["report"])}
        story = replace(story, facts={**story.facts, "links": links})
    return replace(story, live=said.sentence) if said and said.numbers["rows"] else story
