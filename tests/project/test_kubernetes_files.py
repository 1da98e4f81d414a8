"""`infra/kubernetes`: it renders, each object is valid, and pods keep the profile `restricted`."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tasks.pipeline_file import load_pipeline

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "kubernetes"
OVERLAY = FOLDER / "overlays" / "team"
WORKLOADS = ("mlflow", "prefect", "scoring", "worker")
FORM = "1.32"  # of Kubernetes, by whose schemas objects are judged
RUN = "nocturne.pool/run"  # label of the pods that the worker starts


@pytest.fixture(scope="module")
def objects():
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, which renders the overlay")
    ran = subprocess.run(
        ["kubectl", "kustomize", str(OVERLAY)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return list(yaml.safe_load_all(ran.stdout))


def of_kind(objects, *kinds):
    return {one["metadata"]["name"]: one for one in objects if one["kind"] in kinds}


def pods(objects):
    found = of_kind(objects, "Deployment", "StatefulSet")
    return {name: one["spec"]["template"] for name, one in found.items()}


def variables_of(pod, *kinds):
    """What the containers of a pod are told, those that begin included."""
    for kind in kinds or ("initContainers", "containers"):
        for container in pod["spec"].get(kind, ()):
            yield from container.get("env", ())


def unrestricted(pod):
    """What a pod does that the profile `restricted` forbids, or that we ask for beside it."""
    spec, told = pod["spec"], set()
    whole = spec.get("securityContext", {})
    if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        told.add("shares the machine")
    kinds = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "downwardAPI"}
    if any(not set(volume) - {"name"} <= kinds for volume in spec.get("volumes", ())):
        told.add("volume")
    if spec.get("automountServiceAccountToken") is not False:
        told.add("token")
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        told |= unrestricted_container(container, whole)
    return told


def unrestricted_container(container, whole):
    own, limits = container.get("securityContext", {}), container.get("resources", {})
    both = {**whole, **own}
    told = {
        "root": both.get("runAsNonRoot") is not True or not both.get("runAsUser"),
        "escalation": own.get("allowPrivilegeEscalation") is not False or "privileged" in own,
        "capabilities": own.get("capabilities", {}) != {"drop": ["ALL"]},
        "seccomp": both.get("seccompProfile", {}).get("type") != "RuntimeDefault",
        "writable root": own.get("readOnlyRootFilesystem") is not True,
        "shares the machine": any("hostPort" in port for port in container.get("ports", ())),
        "no bounds": "memory" not in limits.get("limits", {})
        or "cpu" not in limits.get("requests", {}),
        "no tag": not re.search(r":(?!latest$)[\w.-]+$", container["image"]),
    }
    return {rule for rule, broken in told.items() if broken}


def test_every_object_is_valid_by_the_strict_schema(objects):
    validator = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is among the dev dependencies"
    )
    for one in objects:
        validator.validate(one, FORM, strict=True)


def test_the_namespace_enforces_what_is_tested_here(objects):
    (namespace,) = of_kind(objects, "Namespace").values()
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    spaces = {one["metadata"].get("namespace") for one in objects if one["kind"] != "Namespace"}
    assert spaces == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_is_restricted(objects, name):
    """The worker alone has a token of the cluster: it starts jobs."""
    assert unrestricted(pods(objects)[name]) == ({"token"} if name == "worker" else set())


@pytest.mark.parametrize(
    ("where", "value", "rule"),
    [
        (("spec", "hostNetwork"), True, "shares the machine"),
        (("spec", "securityContext", "runAsNonRoot"), False, "root"),
        (("spec", "securityContext", "runAsUser"), 0, "root"),
        (("spec", "securityContext", "seccompProfile"), {}, "seccomp"),
        (("spec", "automountServiceAccountToken"), True, "token"),
        (("spec", "volumes"), [{"name": "x", "hostPath": {"path": "/"}}], "volume"),
        (("spec", "containers", 0, "image"), "nocturne:latest", "no tag"),
        (("spec", "containers", 0, "image"), "nocturne", "no tag"),
        (("spec", "containers", 0, "resources"), {}, "no bounds"),
        (("spec", "containers", 0, "securityContext", "capabilities"), {}, "capabilities"),
        (("spec", "containers", 0, "securityContext", "privileged"), True, "escalation"),
        (
            ("spec", "containers", 0, "securityContext", "readOnlyRootFilesystem"),
            False,
            "writable root",
        ),
    ],
)
def test_the_rules_see_what_they_are_for(objects, where, value, rule):
    pod = copy.deepcopy(pods(objects)["mlflow"])
    place = pod
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert rule in unrestricted(pod)


def test_the_scoring_server_is_looked_at_scaled_and_kept_up(objects):
    """Probes name a Host that the server answers to: one by the pod's address gets a 400."""
    (container,) = pods(objects)["scoring"]["spec"]["containers"]
    asked = {
        key: container[f"{key}Probe"]["httpGet"] for key in ("startup", "liveness", "readiness")
    }
    assert asked["liveness"]["path"] == asked["startup"]["path"] == "/v2/health/live"
    assert asked["readiness"]["path"] == "/v2/health/ready"
    for one in asked.values():
        assert one["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    scaler = of_kind(objects, "HorizontalPodAutoscaler")["scoring"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "scoring"
    assert "replicas" not in of_kind(objects, "Deployment")["scoring"]["spec"]
    assert (
        of_kind(objects, "PodDisruptionBudget")["scoring"]["spec"]["minAvailable"]
        < (scaler["minReplicas"])
    )


def test_the_probes_and_the_drain_fit_the_server(objects):
    from serving.access import LOOPBACK, OPEN
    from serving.limits import DRAIN_SECONDS

    spec = pods(objects)["scoring"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    (container,) = spec["containers"]
    for key in ("startup", "liveness", "readiness"):
        asked = container[f"{key}Probe"]["httpGet"]
        assert asked["path"] in OPEN
        assert asked["httpHeaders"][0]["value"] in LOOPBACK


def test_no_account_carries_a_token_and_each_role_has_its_own(objects):
    accounts = of_kind(objects, "ServiceAccount")
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    used = {name: pod["spec"]["serviceAccountName"] for name, pod in pods(objects).items()}
    assert len(set(used.values())) == len(used)
    assert {*used.values(), run_variables()["service_account_name"]["default"]} == set(accounts)


def test_the_worker_may_start_jobs_in_its_namespace_and_read_no_secret(objects):
    (role,) = of_kind(objects, "Role").values()
    (binding,) = of_kind(objects, "RoleBinding").values()
    assert of_kind(objects, "ClusterRole", "ClusterRoleBinding") == {}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    account = pods(objects)["worker"]["spec"]["serviceAccountName"]
    assert [one["name"] for one in binding["subjects"]] == [account]
    verbs = {kind: set(rule["verbs"]) for rule in role["rules"] for kind in rule["resources"]}
    assert set(verbs) == {"jobs", "pods", "pods/log", "pods/status", "events"}
    assert verbs.pop("jobs") == {"get", "list", "watch", "create", "delete"}
    assert all(each == {"get", "list", "watch"} for each in verbs.values())


def test_the_worker_deploys_its_own_image_and_starts_runs_where_it_is(objects):
    spec = pods(objects)["worker"]["spec"]
    (deploy,), (worker,) = spec["initContainers"], spec["containers"]
    image = {one["name"]: one.get("value") for one in deploy["env"]}["RUN_IMAGE"]
    assert image == worker["image"] == deploy["image"]
    assert "--image=$(RUN_IMAGE)" in deploy["args"]
    assert {"--pool=nocturne", "--type=kubernetes"} <= set(deploy["args"]) & set(worker["args"])
    (namespace,) = of_kind(objects, "Namespace")
    assert run_variables()["namespace"]["default"] == namespace
    handed = {one["name"] for one in deploy["env"]} & set(run_template()["env"])
    assert handed == {
        "NOCTURNE_STORE",
        "NOCTURNE_MLFLOW_URL",
        "NOCTURNE_S3_ENDPOINT",
        "AWS_DEFAULT_REGION",
    }


def test_a_run_finds_its_secrets_and_reaches_the_servers(objects):
    """What the template refers to is what the worker and DEPLOYMENT.md know."""
    manifest = run_template()["job_manifest"]["spec"]["template"]
    assert manifest["metadata"]["labels"] == {RUN: "true"}
    policies = of_kind(objects, "NetworkPolicy")
    assert policies["run"]["spec"]["podSelector"] == {"matchLabels": {RUN: "true"}}
    out = {rule["ports"][0]["port"] for rule in policies["run"]["spec"]["egress"]}
    assert out == {5000, 4200, 443}
    for server in ("mlflow", "prefect"):
        assert RUN in str(policies[server]["spec"]["ingress"])
    (container,) = manifest["spec"]["containers"]
    asked = {one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"]}
    guide = (ROOT / "docs" / "DEPLOYMENT.md").read_text()
    (line,) = [one for one in guide.splitlines() if "secret generic nocturne-worker" in one]
    assert "--from-literal=mlflow-password" in line
    assert asked == {"mlflow-password", "s3-access-key", "s3-secret-key"}


def run_template():
    return json.loads((ROOT / "infra" / "pools" / "kubernetes.json").read_text())[
        "job_configuration"
    ]


def run_variables():
    content = json.loads((ROOT / "infra" / "pools" / "kubernetes.json").read_text())
    return content["variables"]["properties"]


def test_nobody_speaks_to_anybody_but_by_a_rule(objects):
    policies = of_kind(objects, "NetworkPolicy")
    assert policies["nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for way in ("ingress", "egress"):
            for rule in policy["spec"].get(way, ()):
                assert rule.get("ports"), f"{name}: a rule without ports"
                assert rule.get("from" if way == "ingress" else "to"), f"{name}: anybody"
    assert "ingress" not in policies["worker"]["spec"]
    databases = [
        block["ipBlock"]["cidr"]
        for policy in policies.values()
        for rule in policy["spec"].get("egress", ())
        if rule["ports"][0]["port"] == 5432
        for block in rule["to"]
    ]
    assert set(databases) == {"10.20.0.0/24"}  # the overlay's, for both servers


def test_what_a_pod_calls_it_may_reach(objects):
    """Each address in an environment has a way out of the caller and into the called."""
    policies = of_kind(objects, "NetworkPolicy")
    for name, pod in pods(objects).items():
        for variable in variables_of(pod, "containers"):
            called = re.match(r"http://(mlflow|prefect):(\d+)", variable.get("value", ""))
            if not called:
                continue
            other, port = called[1], int(called[2])
            out = [str(rule) for rule in policies[name]["spec"]["egress"]]
            into = [str(rule) for rule in policies[other]["spec"]["ingress"]]
            assert any(f"'{other}'" in rule and str(port) in rule for rule in out)
            assert any(f"'{name}'" in rule and str(port) in rule for rule in into)


def test_secrets_are_referred_to_and_never_written_down(objects):
    assert of_kind(objects, "Secret") == {}
    secret = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH_STRING|TOKEN")
    where = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_"  # not what it is
    for pod in pods(objects).values():
        for variable in variables_of(pod):
            if secret.search(variable["name"].removeprefix(where)):
                assert set(variable["valueFrom"]) == {"secretKeyRef"}
    scoring = str(pods(objects)["scoring"]["spec"])
    assert "signing.pub" in scoring
    assert "'key': 'signing.key'" not in scoring


def test_every_setting_that_is_referred_to_is_there(objects):
    settings = {name: set(one["data"]) for name, one in of_kind(objects, "ConfigMap").items()}
    for pod in pods(objects).values():
        for variable in variables_of(pod):
            asked = variable.get("valueFrom", {}).get("configMapKeyRef")
            if asked:
                assert asked["key"] in settings[asked["name"]]
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in settings


def test_the_example_pipeline_is_one():
    assert load_pipeline(OVERLAY / "pipeline.yaml").name == "reviews"


def test_cluster_and_compose_start_the_same_programs(objects):
    compose = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())["services"]
    for name, pod in pods(objects).items():
        mine, theirs = pod["spec"]["containers"][0]["args"], compose[name]["command"]
        mine, theirs = ([word.partition("=")[0] for word in each] for each in (mine, theirs))
        assert [word for word in mine if word[:5] != "conf/"] == [
            word for word in theirs if word[:5] != "conf/"
        ]
