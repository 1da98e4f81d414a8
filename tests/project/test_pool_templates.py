"""`infra/pools`: what starts a run of a work pool, under the rules of compose and Kubernetes."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

from infra.orchestration import QUIET
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
FORM = "1.32"  # of Kubernetes, by whose schemas a job is judged
KINDS = ("process", "docker", "kubernetes")
TEMPLATES = {kind: json.loads((ROOT / f"infra/pools/{kind}.json").read_text()) for kind in KINDS}
GIVEN = {"image": "nocturne:0.1.0", "store": "s3://team/store", "name": "reviews"}
COMPOSE = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())["services"]
ALL = pytest.mark.parametrize("kind", KINDS)


def rendered(kind):
    """What a worker makes of the template: defaults, then what a deployment says."""
    content = copy.deepcopy(TEMPLATES[kind])
    declared = content["variables"]["properties"]
    defaults = {name: one["default"] for name, one in declared.items() if "default" in one}
    return apply_values(content["job_configuration"], defaults | GIVEN)


@ALL
def test_every_variable_is_declared_and_none_is_for_nothing(kind):
    content = TEMPLATES[kind]
    used = {one.name for one in find_placeholders(content["job_configuration"])}
    declared = set(content["variables"]["properties"])
    assert used <= declared
    assert declared - used <= {"env"}  # merged into the configuration's own
    assert all(one["description"] for one in content["variables"]["properties"].values())
    assert content["variables"].get("required", []) == ([] if kind == "process" else ["image"])
    WorkPoolCreate(name="nights", type=kind, base_job_template=content)  # as Prefect checks it


@ALL
def test_it_has_what_prefect_s_own_template_gives_a_run(kind):
    """Whatever a worker fills in by itself must have its place in ours."""
    import prefect

    known = Path(prefect.__file__).parent / "server/api/collections_data/views"
    workers = json.loads((known / "aggregate-worker-metadata.json").read_text())
    package = "prefect" if kind == "process" else f"prefect-{kind}"
    own = workers[package][kind]["default_base_job_configuration"]["job_configuration"]
    left_out = {
        "docker": {
            "registry_credentials",
            "network_mode",
            "memswap_limit",
            "container_wait_timeout",
        },
        "kubernetes": {"cluster_config"},
    }
    assert set(own) - set(TEMPLATES[kind]["job_configuration"]) == left_out.get(kind, set())


@ALL
def test_runs_are_quiet_and_their_log_reaches_prefect(kind):
    wanted = QUIET | {
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,expectations,model_registry,infra"
    }
    assert TEMPLATES[kind]["variables"]["properties"]["env"]["default"] == wanted


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_every_setting_of_a_run_exists_and_no_secret_is_one_of_the_template(kind):
    fields = Settings.model_fields
    known = {f"NOCTURNE_{field.upper()}" for field in fields} | {
        "NOCTURNE_MLFLOW_URL",
        "NOCTURNE_SIGNING_KEY",
    }
    env = TEMPLATES[kind]["job_configuration"]["env"]
    assert {name for name in env if name.startswith("NOCTURNE_")} <= known
    assert not [name for name in env if "PASSWORD" in name or "S3_SECRET" in name]
    told = rendered(kind)["env"]
    assert told["NOCTURNE_STORE"] == "s3://team/store"
    assert "NOCTURNE_S3_ENDPOINT" not in told  # nobody said one


def test_a_process_runs_where_its_worker_was_started():
    assert rendered("process")["working_dir"] == "."


def test_a_container_is_as_hardened_as_the_services_of_compose():
    made, service = rendered("docker"), COMPOSE["worker"]
    told = made["container_create_kwargs"]
    for rule in ("user", "read_only", "cap_drop", "security_opt", "pids_limit", "init"):
        assert told[rule] == service[rule], rule
    assert [f"{path}:{how}" for path, how in told["tmpfs"].items()] == service["tmpfs"]
    assert (made["mem_limit"], made["privileged"]) == (service["mem_limit"], False)
    assert [one.split(":")[1] for one in made["volumes"]] == ["/var/lib/nocturne"]


def test_docker_s_client_takes_what_a_container_is_created_with():
    """It refuses a word that it does not know."""
    containers = pytest.importorskip("docker.models.containers", reason="MLflow brings it")
    told = rendered("docker")["container_create_kwargs"]
    made = containers._create_container_args(
        {"image": GIVEN["image"], "command": None, "version": "1.41", **told}
    )
    assert made["host_config"]["ReadonlyRootfs"] is True
    with pytest.raises(TypeError, match="readonly"):
        containers._create_container_args({"version": "1.41", "readonly": True})


def test_a_job_is_valid_by_the_strict_schema_but_for_what_the_worker_asks_for():
    """Prefect's worker wants two keys of a job in its pod too, which the cluster ignores."""
    validator = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is among the dev dependencies"
    )
    job = rendered("kubernetes")["job_manifest"]
    pod = job["spec"]["template"]["spec"]
    job["metadata"]["labels"] = {}
    pod["containers"][0]["args"] = ["prefect", "flow-run", "execute"]  # the worker's own
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    validator.validate(job, FORM, strict=True)
    with pytest.raises(validator.ValidationError):
        validator.validate(job | {"spec": {**job["spec"], "backofLimit": 0}}, FORM, strict=True)


def test_the_pod_of_a_run_keeps_the_profile_restricted():
    from tests.project.test_kubernetes_files import unrestricted

    job = rendered("kubernetes")["job_manifest"]
    assert unrestricted(job["spec"]["template"]) == set()
    assert job["spec"]["template"]["spec"]["containers"][0]["name"] == "prefect-job"
