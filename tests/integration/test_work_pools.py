"""Pipelines deployed to a work pool of a real Prefect server, behind a password, and run there.

The server is the one of compose and Kubernetes; `prefect worker` runs as a team would start it.
"""

import base64
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import yaml

from tests.command_line import ROOT, home_in
from tests.faults.nights import TINY
from tests.prefect_database import with_empty_database
from tests.servers import free_port, running, stop

ACCOUNT = "night:watch-word"
BUSY = 30
ONE = {
    **TINY,
    "name": "one",
    "schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
    "monitoring": {"cron": "0 4 * * *", "min_rows": 20},
}
TWO = {
    **TINY,
    "name": "two",
    "scoring": {
        "input": {"name": "synthetic", "options": {"days": 1}},
        "output": "scored/{date}",
        "cron": "30 0 * * *",
    },
}
DEPLOY = ("deploy", "all", "--pool", "nights", "--json")


@pytest.fixture(scope="module")
def team(tmp_path_factory, empty_store):
    """A home whose Prefect server asks for a password; no schedule is due while it lives."""
    folder = tmp_path_factory.mktemp("pool")
    (folder / "all").mkdir()
    (folder / ".nocturne").mkdir()
    shutil.copy(empty_store, folder / ".nocturne" / "mlflow.db")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    home = home_in(
        folder,
        NOCTURNE_HOME=".nocturne",
        NOCTURNE_NIGHTS="5",
        PREFECT_API_URL=url,
        PREFECT_API_AUTH_STRING=ACCOUNT,
        PREFECT_HOME=str(with_empty_database(folder / "prefect")),
    )
    server = home.environment | {
        "PREFECT_SERVER_API_AUTH_STRING": ACCOUNT,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    command = ["flows.prefect_server", "--port", str(port)]
    with running(command, f"{url}/health", folder / "server.log", environment=server):
        yield home


@pytest.fixture(scope="module")
def deployed(team):
    write(team, ONE)
    write(team, TWO)
    calls = (
        DEPLOY,
        (*DEPLOY, "--type", "kubernetes"),
        (*DEPLOY, "--type", "process"),
        (*DEPLOY, "--type", "process"),
        (*DEPLOY, "--type", "docker", "--image", "nocturne:0.1.0"),
        (*DEPLOY, "--image", "nocturne:0.1.0"),
    )
    return team.one_after_another(*calls)


def write(team, pipeline):
    (team.path / "all" / f"{pipeline['name']}.yaml").write_text(yaml.safe_dump(pipeline))


def changes(answer):
    assert answer.code == 0, answer.out + answer.err
    return {one["deployment"]: one["change"] for one in answer.json["deployments"]}


def ask(team, path, body=None, method=None):
    word = base64.b64encode(ACCOUNT.encode()).decode()
    request = urllib.request.Request(
        f"{team.variables['PREFECT_API_URL']}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {word}"},
        method=method,
    )
    for _ in range(BUSY):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != 503:  # SQLite is busy; Prefect's own client asks again, too
                raise
            time.sleep(1)
    raise AssertionError(f"{path}: the server was busy {BUSY} times")


def test_a_pool_that_is_not_there_is_made_only_by_a_type_and_containers_need_an_image(deployed):
    no_type, no_image, *_ = deployed
    assert (no_type.code, no_image.code) == (2, 2)
    assert "'nights': is not there; --type process|docker|kubernetes" in no_type.json["error"]
    assert "name the runs' image by --image" in no_image.json["error"]


def test_everything_is_deployed_once_and_a_second_call_changes_nothing(deployed):
    _, _, made, again, *_ = deployed
    names = {"retrain/one", "monitor/one", "retrain/two", "score/two"}
    assert changes(made) == dict.fromkeys(names, "created")
    assert changes(again) == dict.fromkeys(names, "unchanged")
    assert (made.json["pool_change"], again.json["pool_change"]) == ("created", "unchanged")
    assert (made.json["type"], made.json["concurrency"]) == ("process", 5)


def test_a_pool_of_another_type_is_refused_and_so_is_an_image_for_processes(deployed):
    *_, other, image = deployed
    assert (other.code, image.code) == (2, 2)
    assert "is of type process, not docker" in other.json["error"]
    assert "runs have no image" in image.json["error"]


def test_a_deployment_has_schedule_limit_trigger_and_the_pipeline_whole(team, deployed):
    night = ask(team, "deployments/name/retrain/one")
    assert night["work_pool_name"] == "nights"
    assert not night["paused"]
    (schedule,) = night["schedules"]
    assert schedule["active"]
    assert schedule["schedule"]["cron"] == "0 2 * * *"
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert night["global_concurrency_limit"] is None  # Prefect ends who holds a slot it forgot
    assert night["parameters"]["pipeline"]["name"] == "one"
    assert night["parameters"]["pipeline"]["policy"]["alpha"] == 0.05  # defaults included
    owned = ask(team, f"automations/related-to/prefect.deployment.{night['id']}")
    assert [one["trigger"]["expect"] for one in owned] == [["nocturne.drift"]]
    assert owned[0]["trigger"]["match"] == {"prefect.resource.id": "nocturne.pipeline.one"}
    assert owned[0]["actions"][0]["deployment_id"] == night["id"]


def test_what_changed_is_updated_and_what_vanished_is_said_and_pruned_when_asked(team, deployed):
    write(team, {**ONE, "schedule": {"cron": "0 3 * * *", "timezone": "UTC"}})
    two = team.path / "all" / "two.yaml"
    two.unlink()
    monitor = f"deployments/{ask(team, 'deployments/name/monitor/one')['id']}"
    ask(team, f"{monitor}/pause_deployment", {})
    ask(team, monitor, {"concurrency_limit": 1}, "PATCH")  # as an earlier version deployed it
    named = ("deploy", "all/one.yaml", "--pool", "nights", "--json")
    changed, alone, pruned, last = team.one_after_another(
        DEPLOY, named, (*DEPLOY, "--prune"), DEPLOY
    )
    vanished = dict.fromkeys(("retrain/two", "score/two"), "vanished")
    assert changes(changed) == {"retrain/one": "updated", "monitor/one": "updated", **vanished}
    differing = {one["deployment"]: one.get("differing") for one in changed.json["deployments"]}
    assert set(differing["retrain/one"]) == {"parameters", "schedules"}
    assert set(differing["monitor/one"]) == {"parameters", "paused", "concurrency"}
    assert ask(team, "deployments/name/monitor/one")["global_concurrency_limit"] is None
    same = dict.fromkeys(("retrain/one", "monitor/one"), "unchanged")
    assert changes(alone) == same  # a file says nothing of the others
    assert changes(pruned) == same | dict.fromkeys(vanished, "deleted")
    assert changes(last) == same
    (schedule,) = ask(team, "deployments/name/retrain/one")["schedules"]
    assert schedule["schedule"]["cron"] == "0 3 * * *"
    assert [one["name"] for one in ask(team, "automations/filter", {})] == [
        "one: drift starts a night"
    ]


def test_a_worker_of_the_pool_runs_what_is_due_in_the_folder_it_was_started_in(team, deployed):
    monitor = ask(team, "deployments/name/monitor/one")
    asked = {"state": {"type": "SCHEDULED"}, "parameters": {"logical_date": "2026-03-01"}}
    run = ask(team, f"deployments/{monitor['id']}/create_flow_run", asked)
    worker = ("worker", "start", "--pool", "nights", "--type", "process", "--run-once")
    ended = subprocess.run(
        [sys.executable, "-m", "prefect", *worker, "--no-create-pool-if-not-found"],
        cwd=team.path,
        env=team.environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert ask(team, f"flow_runs/{run['id']}")["state_type"] == "COMPLETED", said
    days = list((team.path / ".nocturne" / "store" / "monitoring" / "one").rglob("2026-03-01*"))
    assert days, said


def test_runs_in_containers_get_the_image_and_the_places_of_who_deploys(team, deployed):
    named = ("deploy", "all/one.yaml", "--pool", "boxes", "--type", "docker", "--json")
    variables = team.variables | {"NOCTURNE_STORE": "s3://team/store", "AWS_DEFAULT_REGION": "here"}
    home = type(team)(team.path, variables)
    template = json.loads((ROOT / "infra" / "pools" / "docker.json").read_text())
    template["variables"]["properties"]["mem_limit"]["default"] = "3g"
    (team.path / "own.json").write_text(json.dumps(template))
    (team.path / "none.json").write_text("{}")
    last = (*named, "--image", "nocturne:0.2.0", "--template")
    made, newer, other, again, none = home.one_after_another(
        (*named, "--image", "nocturne:0.1.0", "--concurrency", "9"),
        (*named, "--image", "nocturne:0.2.0", "--concurrency", "8"),
        (*last, "own.json"),
        (*last, "own.json"),
        (*last, "none.json"),
    )
    assert other.json["pool_change"] == "updated: base_job_template"
    assert again.json["pool_change"] == "unchanged"
    assert none.code == 2
    assert "none.json: is no base job template" in none.json["error"]
    assert changes(made) == changes(newer) == {"retrain/one": "updated", "monitor/one": "updated"}
    assert made.json["pool_change"] == "created"
    assert newer.json["pool_change"] == "updated: concurrency_limit"
    assert newer.json["deployments"][0]["differing"] == ["job_variables"]
    night = ask(team, "deployments/name/retrain/one")
    assert night["work_pool_name"] == "boxes"
    assert night["job_variables"] == {
        "image": "nocturne:0.2.0",
        "store": "s3://team/store",
        "region": "here",
    }


def test_a_schedule_leaves_to_the_pool_what_is_the_pool_s(team, deployed):
    """It would take its runs, and pause it when it ends."""
    log = team.path / "schedule.log"
    schedule = team.started("schedule", "all", log=log)
    try:
        deadline = time.monotonic() + 300
        while log.read_text().count("left to the workers of pool boxes") < 2:
            assert schedule.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
    finally:
        stop(schedule)
    assert not ask(team, "deployments/name/retrain/one")["paused"]


def test_a_server_that_is_silent_refuses_or_is_not_set_is_told(team, deployed):
    """Each in one sentence with what to do, and the exit code of its kind."""
    places = {
        "silent": {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"},
        "refuses": {"PREFECT_API_AUTH_STRING": "night:wrong"},
        "not set": {"PREFECT_API_URL": ""},
    }
    told = {
        name: type(team)(team.path, team.variables | given).nocturne(*DEPLOY, "--type", "process")
        for name, given in places.items()
    }
    assert {name: one.code for name, one in told.items()} == {
        "silent": 1,
        "refuses": 1,
        "not set": 2,
    }
    assert "does not answer" in told["silent"].json["error"]
    assert "PREFECT_API_AUTH_STRING=USER:PASSWORD" in told["refuses"].json["error"]
    assert "NOCTURNE_PREFECT_URL" in told["not set"].json["error"]
