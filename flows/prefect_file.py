"""Deployments as a file for Prefect's own command: `python -m flows.prefect_file conf`.

`nocturne deploy` needs none; who deploys everything by `prefect deploy` does. It carries pipelines
whole, every default written out: a deployment's parameters must fit the flow's schema, which knows
none of the short forms that a pipeline file may use.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from flows.options import pipelines_of
from flows.scheduling import deployments
from tasks.config import Pipeline

HEAD = """\
# Written by `python -m flows.prefect_file conf > infra/prefect.yaml`: what `nocturne deploy conf`
# deploys, for Prefect's own command and a work pool of any type in infra/pools. From here:
#   prefect work-pool create NAME --type process --base-job-template infra/pools/process.json
#   export NOCTURNE_POOL=NAME NOCTURNE_PROJECT=$PWD    # containers: /app, and NOCTURNE_IMAGE
#   prefect --no-prompt deploy --all --prefect-file infra/prefect.yaml
"""
POOL = {"name": "{{ $NOCTURNE_POOL }}", "job_variables": {"image": "{{ $NOCTURNE_IMAGE }}"}}
TRIGGER = ("name", "description", "enabled", "expect", "match")


def written(pipelines: Sequence[Pipeline]) -> str:
    """The file's text; a pipeline stands in it once."""
    return HEAD + yaml.safe_dump(
        {
            "name": "nocturne",
            "prefect-version": version("prefect"),
            "pull": [
                {
                    "prefect.deployments.steps.set_working_directory": {
                        "directory": "{{ $NOCTURNE_PROJECT }}"
                    }
                }
            ],
            "deployments": [one for pipeline in pipelines for one in _each(pipeline)],
        },
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def _each(pipeline: Pipeline) -> list[dict[str, Any]]:
    whole = pipeline.model_dump(mode="json")  # one object, so that YAML refers to it
    found = []
    for made in deployments(pipeline):
        said = made.model_dump(mode="json")
        schedules = [
            {key: one["schedule"][key] for key in ("cron", "timezone")} for one in said["schedules"]
        ]
        triggers = [{key: one[key] for key in TRIGGER} for one in said["triggers"]]
        found.append(
            {key: said[key] for key in ("name", "description", "entrypoint")}
            | {"work_pool": dict(POOL), "schedules": schedules}
            | ({"triggers": triggers} if triggers else {})
            | {"parameters": {"pipeline": whole}}
        )
    return found


if __name__ == "__main__":
    sys.stdout.write(written(pipelines_of([Path(name) for name in sys.argv[1:]])))
