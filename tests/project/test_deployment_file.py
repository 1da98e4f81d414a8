"""`infra/prefect.yaml` deploys what `nocturne deploy conf` deploys: every pipeline of conf/."""

from pathlib import Path

import pytest
import yaml

from flows.options import pipelines_of
from flows.prefect_file import written
from flows.scheduling import deployments

ROOT = Path(__file__).parents[2]
FILE = (ROOT / "infra" / "prefect.yaml").read_text()


def test_the_file_is_what_is_written_for_conf():
    """Or conf/, a default or Prefect's version changed: its first line says how to write it."""
    assert written(pipelines_of([ROOT / "conf"])) == FILE


def test_it_deploys_every_flow_that_has_a_cron_and_no_pipeline_of_the_demonstration():
    pipelines = pipelines_of([ROOT / "conf"])
    files = {path.stem for path in (ROOT / "conf").glob("*.yaml")}
    assert {one.name for one in pipelines} == files - {"demonstration"} != set()
    made = [(one.entrypoint, one.name) for each in pipelines for one in deployments(each)]
    filed = yaml.safe_load(FILE)["deployments"]
    assert [(one["entrypoint"], one["name"]) for one in filed] == made


def test_the_pipeline_of_a_deployment_fits_the_schema_that_the_server_holds_it_to():
    """A pipeline in the short forms of its own file is refused there."""
    from prefect.utilities.schema_tools import ValidationError, validate

    (pipeline,) = pipelines_of([ROOT / "conf" / "support_tickets.yaml"])
    for made, filed in zip(deployments(pipeline), yaml.safe_load(FILE)["deployments"], strict=True):
        schema = made._parameter_openapi_schema.model_dump_for_openapi()
        given = filed["parameters"]
        validate(given, schema, raise_on_error=True)
        short = {"pipeline": {**given["pipeline"], "gates": ["finite"]}}
        with pytest.raises(ValidationError, match="gates"):
            validate(short, schema, raise_on_error=True)
