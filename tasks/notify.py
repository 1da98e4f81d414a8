"""Stage: tell the team how the night ended."""

from __future__ import annotations

import json
import logging
import urllib.request
from typing import Literal

from prefect import task
from prefect.artifacts import create_markdown_artifact

from infra.settings import Settings
from model_registry.redaction import redacted, without_secrets
from tasks.references import Night, Probed

logger = logging.getLogger(__name__)

Kind = Literal["success", "failure", "warning"]

TIMEOUT_SECONDS = 10
REFUSALS = {"ledger": "refused", "approval": "waits for a person"}  # of what passed its gates


@task
def notify(night: Night, old_champion: str | None = None) -> None:
    """Leave the night's page in Prefect, and tell the team where addresses are set.

    The webhook hears of every night; Slack, mail and whatever else apprise knows hear what a
    person wants to be woken for: `worth_telling`. A message that cannot be sent is a warning:
    the night is over and stands as recorded.

    Args:
        night: Its record.
        old_champion: A sentence, where Production was trained too long ago.
    """
    try:
        create_markdown_artifact(
            key=f"night-{night.pipeline}".replace("_", "-"),
            markdown=page(night),
            description=f"{night.logical_date}: {night.outcome}",
        )
    except Exception as error:
        logger.warning("no page in Prefect, the night stands: %s", type(error).__name__)
    settings = Settings()
    if webhook := settings.webhook.get_secret_value():
        _send(webhook, night)
    if addresses := settings.notify.get_secret_value():
        for title, said, kind in worth_telling(night, old_champion):
            announce(addresses, title, redacted(said), kind)


def worth_telling(night: Night, old_champion: str | None) -> list[tuple[str, str, Kind]]:
    """Titles, texts and kinds of the messages about a night.

    Demoted, promoted, failed, refused by contract or ledger, waiting for a person, and a champion
    that is too old. A champion that the gates kept is no news.
    """
    name = f"{night.pipeline}, night {night.logical_date}"
    told: list[tuple[str, str, Kind]] = []
    watched = night.probation
    if watched is not None and watched.demoted:
        told.append(_demotion(name, watched))
    if night.outcome == "promoted":
        told.append((f"{name}: v{night.version} promoted", night.reason, "success"))
    elif night.outcome == "failed":
        refused = night.refused_by == "contract"
        ended = "data refused" if refused else "failed"
        told.append((f"{name}: {ended}", night.reason, "failure"))
    elif night.refused_by in REFUSALS:
        told.append(
            (f"{name}: v{night.version} {REFUSALS[night.refused_by]}", night.reason, "warning")
        )
    if old_champion:
        told.append((f"{night.pipeline}: champion too old", old_champion, "warning"))
    return told


def tell_of_demotion(found: Probed) -> None:
    """Tell the team of a champion that was demoted because a person asked, not in a night."""
    if addresses := Settings().notify.get_secret_value():
        title, said, kind = _demotion(f"{found.pipeline}, probation {found.logical_date}", found)
        announce(addresses, title, redacted(said), kind)


def _demotion(when: str, found: Probed) -> tuple[str, str, Kind]:
    moved = f"v{found.version} demoted, v{found.predecessor} serves again"
    return f"{when}: {moved}", found.reason, "warning"


def announce(addresses: str, title: str, body: str, kind: Kind) -> list[str]:
    """Send one message to every address; returns the services that took it.

    Args:
        addresses: apprise's URLs (`slack://...`, `mailto://...`, `json://...`), apart by blanks.
        title: One line.
        body: The reason, without secrets.
        kind: Colours the message.
    """
    from apprise import Apprise, NotifyType

    told = []
    for number, address in enumerate(addresses.split(), 1):
        service = Apprise.instantiate(address, suppress_exceptions=True)
        if service is None:
            logger.warning("NOCTURNE_NOTIFY: address %d is none that apprise knows", number)
        elif service.notify(body=body, title=title, notify_type=NotifyType(kind)):
            told.append(str(service.service_name))
        else:
            logger.warning("%s (address %d) not told: %s", service.service_name, number, title)
    return told


def page(night: Night) -> str:
    """The night in a screenful of Markdown: outcome, candidates, gates, where the report lies."""
    lines = [f"# {night.pipeline}, night {night.logical_date}: {night.outcome}", "", night.reason]
    if night.probation:
        lines += ["", f"Probation: {night.probation.reason}"]
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
    told = without_secrets({"text": text, "night": night.model_dump(mode="json")})
    body = json.dumps(told).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(webhook, body, headers)  # noqa: S310 - the team's own URL
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - the same
            logger.info("told the webhook how the night ended")
    except (OSError, ValueError) as error:
        logger.warning("webhook not told, the night stands: %s", type(error).__name__)
