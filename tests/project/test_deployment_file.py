"""`infra/prefect.yaml` says of the embedded pipeline what its own file says."""

from importlib.metadata import version
from pathlib import Path

import yaml

from tasks.config import Pipeline
from tasks.pipeline_file import load_pipeline

ROOT = Path(__file__).parents[2]


def test_the_deployment_runs_the_pipeline_of_its_file_on_its_schedule():
    content = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())
    assert content["prefect-version"] == version("prefect")
    (deployment,) = content["deployments"]
    pipeline = load_pipeline(ROOT / "conf" / f"{deployment['name']}.yaml")
    assert Pipeline.model_validate(deployment["parameters"]["pipeline"]) == pipeline
    (schedule,) = deployment["schedules"]
    assert schedule == pipeline.schedule.model_dump(include={"cron", "timezone"})
    assert deployment["concurrency_limit"]["limit"] == 1
