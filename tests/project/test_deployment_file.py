"""`infra/prefect.yaml` says of the embedded pipeline what its own file says."""

from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tasks.config import Pipeline
from tasks.pipeline_file import load_pipeline

ROOT = Path(__file__).parents[2]
CONTENT = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())
PARTS = {
    "flows.retraining.retrain": "schedule",
    "flows.scoring.score": "scoring",
    "flows.monitoring.monitor": "monitoring",
}


def test_the_file_is_for_the_prefect_that_is_installed_and_deploys_every_flow_with_a_cron():
    assert CONTENT["prefect-version"] == version("prefect")
    assert [each["entrypoint"] for each in CONTENT["deployments"]] == list(PARTS)


@pytest.mark.parametrize("deployment", CONTENT["deployments"], ids=lambda one: one["entrypoint"])
def test_a_deployment_runs_the_pipeline_of_its_file_on_its_schedule(deployment):
    pipeline = load_pipeline(ROOT / "conf" / f"{deployment['name']}.yaml")
    assert Pipeline.model_validate(deployment["parameters"]["pipeline"]) == pipeline
    (schedule,) = deployment["schedules"]
    part = getattr(pipeline, PARTS[deployment["entrypoint"]])
    assert schedule == part.model_dump(include={"cron", "timezone"})
    assert deployment["concurrency_limit"]["limit"] == 1


def test_what_the_file_deploys_is_what_the_schedule_serves():
    """Names, crons and the event that starts a night are the same both ways."""
    from flows.scheduling import alarm, deployments

    pipeline = load_pipeline(ROOT / "conf" / "support_tickets.yaml")
    served = deployments(pipeline)
    assert [each.entrypoint for each in served] == [
        each["entrypoint"] for each in CONTENT["deployments"]
    ]
    assert {each.name for each in served} == {each["name"] for each in CONTENT["deployments"]}
    for mine, theirs in zip(served, CONTENT["deployments"], strict=True):
        assert [each.schedule.cron for each in mine.schedules] == [
            each["cron"] for each in theirs["schedules"]
        ]
    (trigger,) = CONTENT["deployments"][0]["triggers"]
    ours = alarm(pipeline)
    assert trigger["name"] == ours.name
    assert set(trigger["expect"]) == ours.expect
    assert trigger["match"] == ours.match.model_dump()
