"""What the roles of `infra/terraform` do, tried on an S3 service that enforces them."""

import pytest
from botocore.exceptions import ClientError
from joserfc import jwk

from tests.policed_s3 import BUCKET, policed_s3

LOGS = {f"store/{one}" for one in ("monitoring", "quarantine", "reports", "requests")}
DECISIONS = {"store/ledger", "store/probe"}
STORE = {
    *LOGS,
    *DECISIONS,
    *(f"store/{one}" for one in ("leases", "nights", "probations", "references", "serving")),
    *(f"store/{one}" for one in ("shadow", "snapshots", "tuning", "validations")),
}
PREFIXES = sorted(STORE | {"incoming", "outgoing", "mlflow", "elsewhere", "store/elsewhere"})
# what each role reads, writes and deletes: docs/DEPLOYMENT.md in other words
MAY = {
    "trainer": (
        STORE | {"incoming", "outgoing"},
        STORE - {"store/serving"} | {"outgoing"},
        {"store/leases", "outgoing"},
    ),
    "promoter": (STORE - {"store/requests", "store/quarantine"}, DECISIONS, set()),
    "server": (
        {"store/ledger", "store/shadow"},
        {"store/requests", "store/serving", "store/shadow"},
        set(),
    ),
    "retention": (
        STORE,
        DECISIONS | {"store/leases"},
        LOGS | {"store/references", "store/snapshots"},
    ),
    "registry": ({"mlflow"}, {"mlflow"}, {"mlflow"}),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with policed_s3(tmp_path_factory.mktemp("cloud")) as started:
        if not started.limits:
            pytest.skip("terraform is not installed")
        yield started


@pytest.fixture(scope="module", params=MAY)
def role(request, cloud):
    """A role's name, and S3 by what its account's token is good for."""
    token = cloud.issuer.token(cloud.account_of(request.param))
    return request.param, cloud.client(**cloud.assume(request.param, token))


def allowed(call, **words):
    """Whether the service did it; any failure that is no refusal raises."""
    try:
        call(**words)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return False
    return True


def test_every_role_of_terraform_is_tried(cloud):
    assert set(cloud.trust) == set(MAY)


def test_a_role_reads_writes_lists_and_deletes_what_it_must_and_nothing_else(cloud, role):
    name, s3 = role
    found = {"reads": set(), "writes": set(), "lists": set(), "deletes": set()}
    for prefix in PREFIXES:
        there = {"Bucket": BUCKET, "Key": f"{prefix}/pipeline/there"}
        new = {"Bucket": BUCKET, "Key": f"{prefix}/pipeline/{name}"}
        inside = {"Bucket": BUCKET, "Prefix": f"{prefix}/pipeline/"}
        cloud.root.put_object(**there, Body=b"1")
        asked = (
            ("reads", s3.get_object, there),
            ("reads", s3.head_object, there),
            ("writes", s3.put_object, {**new, "IfNoneMatch": "*", "Body": b"2"}),
            ("writes", s3.put_object, {**new, "Body": b"3"}),
            ("lists", s3.list_objects_v2, inside),
            ("lists", s3.list_objects_v2, {**inside, "Prefix": f"{prefix}/"}),
            ("deletes", s3.delete_object, there),
        )
        answers = {(what, allowed(call, **words)) for what, call, words in asked}
        assert len(answers) == len(found), prefix
        for what, yes in answers:
            found[what] |= {prefix} if yes else set()
    reads, writes, deletes = MAY[name]
    assert found == {"reads": reads, "writes": writes, "lists": reads | writes, "deletes": deletes}


def test_no_role_sees_the_whole_bucket_or_touches_its_rules(role):
    _, s3 = role
    assert not allowed(s3.list_objects_v2, Bucket=BUCKET)
    assert not allowed(s3.list_objects_v2, Bucket=BUCKET, Prefix="store/")
    assert not allowed(s3.delete_bucket_policy, Bucket=BUCKET)
    assert not allowed(s3.create_bucket, Bucket="another")


def test_a_key_that_is_missing_is_told_from_one_that_is_forbidden(role):
    name, s3 = role
    readable = min(MAY[name][0])
    with pytest.raises(ClientError) as missing:
        s3.get_object(Bucket=BUCKET, Key=f"{readable}/pipeline/nothing")
    assert missing.value.response["Error"]["Code"] == "NoSuchKey"


@pytest.mark.parametrize("name", MAY)
def test_a_role_is_given_to_its_own_account_alone(cloud, name):
    own = cloud.account_of(name)
    others = [cloud.account_of(other) for other in MAY if other != name]
    foreign = jwk.RSAKey.generate_key(2048, {"kid": "cluster"})
    refused = {
        **{other: cloud.issuer.token(other) for other in others},
        "audience": cloud.issuer.token(own, audience="kubernetes"),
        "namespace": cloud.issuer.token(own, namespace="default"),
        "key": cloud.issuer.token(own, key=foreign),
        "none": "eyJhbGciOiJub25lIn0.e30.",
    }
    for what, token in refused.items():
        with pytest.raises(ClientError):
            print(what, cloud.assume(name, token))
    assert cloud.assume(name, cloud.issuer.token(own))


def test_a_session_is_not_good_for_more_than_its_signature(cloud):
    keys = cloud.assume("trainer", cloud.issuer.token(cloud.account_of("trainer")))
    key = {"Bucket": BUCKET, "Key": "store/ledger/pipeline/there"}
    cloud.root.put_object(**key, Body=b"1")
    assert allowed(cloud.client(**keys).get_object, **key)
    for change in (
        {"aws_secret_access_key": "guessed"},
        {"aws_session_token": keys["aws_session_token"][:-4] + "AAAA"},
        {"aws_session_token": None},
    ):
        assert not allowed(cloud.client(**{**keys, **change}).get_object, **key)


def test_nobody_deletes_from_the_ledger_or_comes_without_tls(cloud):
    """Not even who owns everything, while the bucket's policy stands."""
    key = {"Bucket": BUCKET, "Key": "store/ledger/pipeline/decision"}
    cloud.root.put_object(**key, Body=b"1")
    assert not allowed(cloud.root.delete_object, **key)
    assert not allowed(cloud.without_tls.get_object, **key)
    assert allowed(cloud.root.get_object, **key)
