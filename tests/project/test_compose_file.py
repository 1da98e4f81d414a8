"""`infra/compose.yaml` under the rules of SECURITY.md, and every word in it is a real one."""

import re
from pathlib import Path

import pytest
import typer.main
import yaml

ROOT = Path(__file__).parents[2]
CONTENT = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())
SERVICES = CONTENT["services"]
EXAMPLE = (ROOT / "infra" / "compose.env.example").read_text()
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING|TOKEN")
ASKED = re.compile(r"\$\{([A-Z0-9_]+)(:[?-])?([^}]*)\}")
ALL = pytest.mark.parametrize("name", sorted(SERVICES))


def breaches(service):
    """The rules that a service breaks, in words."""
    image, user = service.get("image", ""), str(service.get("user", ""))
    published = [str(port) for port in service.get("ports", ())]
    told = {
        "no health check": not service.get("healthcheck", {}).get("test") and not is_over(service),
        "root": user.partition(":")[0] in {"", "0", "root"},
        "writable root": service.get("read_only") is not True,
        "capabilities": service.get("cap_drop") != ["ALL"] or bool(service.get("cap_add")),
        "new privileges": "no-new-privileges:true" not in service.get("security_opt", ()),
        "privileged": bool(service.get("privileged")) or "network_mode" in service,
        "published": not all(port.startswith("127.0.0.1:") for port in published),
        "no tag": not re.search(r":[\w.-]+$", image) or image.endswith(":latest"),
        "literal secret": bool(literal_secrets(service)),
    }
    return {rule for rule, broken in told.items() if broken}


def is_over(service):
    """Whether it does one thing and ends, so that nobody asks how it is."""
    return service["healthcheck"] == {"disable": True} and service["restart"] == "on-failure"


def literal_secrets(service):
    """Variables that carry a secret and are not asked for by name."""
    environment = service.get("environment", {})
    plain = {"PGPASSFILE"}
    return [
        name
        for name, value in environment.items()
        if SECRET.search(name)
        and name not in plain
        and not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)
    ]


@ALL
def test_a_service_keeps_every_rule(name):
    assert breaches(SERVICES[name]) == set()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"healthcheck": {}}, "no health check"),
        ({"healthcheck": {"disable": True}}, "no health check"),
        ({"user": "0:0"}, "root"),
        ({"user": None}, "root"),
        ({"read_only": False}, "writable root"),
        ({"cap_add": ["NET_ADMIN"]}, "capabilities"),
        ({"security_opt": []}, "new privileges"),
        ({"network_mode": "host"}, "privileged"),
        ({"ports": ["8080:8080"]}, "published"),
        ({"ports": ["0.0.0.0:8080:8080"]}, "published"),
        ({"image": "nocturne:latest"}, "no tag"),
        ({"image": "nocturne"}, "no tag"),
        ({"environment": {"MLFLOW_TRACKING_PASSWORD": "hunter2"}}, "literal secret"),
        ({"environment": {"PGPASSWORD": "${DB:-postgres}"}}, "literal secret"),
    ],
)
def test_the_rules_see_what_they_are_for(change, rule):
    changed = {**SERVICES["scoring"], **change}
    assert rule in breaches({key: value for key, value in changed.items() if value is not None})


@ALL
def test_who_waits_for_another_waits_for_one_that_can_be_healthy(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        over = how["condition"] == "service_completed_successfully"
        assert over == is_over(SERVICES[other])
        assert over or how["condition"] in {"service_healthy", "service_started"}


def test_the_databases_are_reached_by_their_servers_alone():
    reaching = {name for name, one in SERVICES.items() if "databases" in one["networks"]}
    assert CONTENT["networks"]["databases"]["internal"] is True
    assert reaching == {"postgres", "mlflow", "prefect"}
    assert "ports" not in SERVICES["postgres"]


def test_every_variable_is_asked_for_in_the_example_and_none_is_too_much():
    used = set(ASKED.findall((ROOT / "infra" / "compose.yaml").read_text()))
    wanted = {name for name, how, _ in used if how == ":?"}
    listed = dict(
        line.split("=", 1) for line in EXAMPLE.splitlines() if "=" in line[:40] and line[0] != "#"
    )
    assert set(listed) == wanted
    assert [name for name, value in listed.items() if SECRET.search(name) and value] == []
    assert {name for name, how, _ in used if how != ":?"} == {"NOCTURNE_CONF"}


def test_who_only_reads_bundles_has_no_key_to_seal_them():
    assert "signing.key" in SERVICES["worker"]["secrets"]
    assert "signing.key" not in SERVICES["scoring"]["secrets"]
    assert not any("signing" in str(SERVICES[name]) for name in ("postgres", "mlflow", "prefect"))


def test_the_servers_start_as_they_must():
    """Job execution and telemetry off, Host checked, accounts asked for."""
    mlflow, prefect = SERVICES["mlflow"], SERVICES["prefect"]
    assert "--app-name=basic-auth" in mlflow["command"]
    (hosts,) = [word for word in mlflow["command"] if word.startswith("--allowed-hosts=")]
    assert "mlflow:5000" in hosts
    assert "=*" not in hosts
    assert mlflow["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert "PREFECT_SERVER_API_AUTH_STRING" in prefect["environment"]
    assert prefect["command"][:3] == ["python", "-m", "flows.prefect_server"]
    assert prefect["environment"]["NOCTURNE_UP_ALLOWED_HOSTS"] == "${PREFECT_HOSTS:?name them}"
    assert "PREFECT_HOSTS=prefect\n" in EXAMPLE  # the name by which the worker asks
    for name in ("mlflow", "prefect", "deploy", "worker", "scoring"):
        environment = SERVICES[name]["environment"]
        assert environment["MLFLOW_DISABLE_TELEMETRY"] == environment["DO_NOT_TRACK"] == "true"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


@pytest.mark.parametrize("name", ["deploy", "scoring"])
def test_what_nocturne_is_asked_exists(name):
    from flows.cli import app

    _, verb, *rest = SERVICES[name]["command"]
    command = typer.main.get_command(app).commands[verb]
    known = {option for each in command.params for option in each.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


def test_the_worker_works_the_pool_that_is_deployed_to():
    said = {name: set(SERVICES[name]["command"]) for name in ("deploy", "worker")}
    assert {"--pool=nocturne", "--type=process"} <= said["deploy"] & said["worker"]
    assert "--no-create-pool-if-not-found" in said["worker"]  # it would have Prefect's template


@pytest.mark.parametrize("name", ["prefect", "deploy", "worker", "scoring"])
def test_every_setting_of_nocturne_exists(name):
    from infra.settings import Settings

    fields = Settings.model_fields
    known = {f"NOCTURNE_{field.upper()}" for field in fields}
    known |= {str(field.validation_alias) for field in fields.values()}
    used = {key for key in SERVICES[name]["environment"] if key.startswith("NOCTURNE_")}
    assert used - known <= {"NOCTURNE_MLFLOW_URL", "NOCTURNE_PREFECT_URL", "NOCTURNE_HEALTH_URL"}
