"""Stage: tell the team how the night ended."""

from __future__ import annotations

import json
import logging
import urllib.request

from prefect import task
from prefect.artifacts import create_markdown_artifact

from infra.settings import Settings
from tasks.references import Night

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10


@task
def notify(night: Night) -> None:
    """Leave the night's page in Prefect, and send one message where a webhook is set.

    A message that cannot be sent is a warning: the night is over and stands as recorded.
    """
    create_markdown_artifact(
        key=f"night-{night.pipeline}".replace("_", "-"),
        markdown=page(night),
        description=f"{night.logical_date}: {night.outcome}",
    )
    webhook = Settings().webhook.get_secret_value()
    if webhook:
        _send(webhook, night)


def page(night: Night) -> str:
    """The night in a screenful of Markdown: outcome, candidates, gates, where the report lies."""
    lines = [f"# {night.pipeline}, night {night.logical_date}: {night.outcome}", "", night.reason]
    if night.candidates:
        lines += ["", "| candidate | validation macro-F1 | test macro-F1 | seconds |"]
        lines += ["|---|---|---|---|"]
    for trained in night.candidates:
        if trained.failed:
            lines.append(f"| {trained.name} | failed: {trained.failed} | | |")
            continue
        scores = (trained.validation.get("macro_f1"), trained.test.get("macro_f1"))
        cells = " | ".join("–" if score is None else f"{score:.4f}" for score in scores)
        lines.append(f"| {trained.name} | {cells} | {trained.seconds:.0f} |")
    for gate in night.verdict.gates if night.verdict else ():
        lines.append(f"- {'✓' if gate.passed else '✗'} **{gate.gate}**: {gate.sentence}")
    if night.report:
        lines += ["", f"Report: `{night.report}`"]
    return "\n".join(lines)


def _send(webhook: str, night: Night) -> None:
    text = f"{night.pipeline}, night {night.logical_date}: {night.outcome}. {night.reason}"
    body = json.dumps({"text": text, "night": night.model_dump(mode="json")}).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(webhook, body, headers)  # noqa: S310 - the team's own URL
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            logger.info("told the webhook how the night ended")
    except (OSError, ValueError) as error:
        logger.warning("webhook not told, the night stands: %s", type(error).__name__)
