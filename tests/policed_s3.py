"""S3 that enforces policies (SeaweedFS), on loopback over TLS, with the roles of `infra/terraform`.

A process becomes a role as a pod of EKS does: boto3 finds a token of a service account in a file
and takes it to STS, which asks the token's issuer for its keys, reads the role's trust policy, and
gives credentials that pass; each request is then judged by the role's document and the bucket's.

Two names differ from AWS in trust policies, and are translated: an identity provider is called by
a name instead of its ARN, and what a token claims is `oidc:sub` instead of `<issuer>:sub`.
"""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import botocore.exceptions
from botocore.config import Config
from joserfc import jwk, jwt

from infra.settings import Settings
from infra.storage import S3Storage
from tests.servers import certificate_in, free_port, launched

POLICIES = Path(__file__).parents[1] / "infra" / "terraform" / "policies"
BUCKET = "team"
AUDIENCE = "sts.amazonaws.com"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/cluster"
REGION = "us-east-1"
PORTS = (
    *(
        f"{part}.port{kind}"
        for part in ("master", "volume", "filer", "s3")
        for kind in ("", ".grpc")
    ),
    "s3.port.https",
)
ROOT_KEYS = {"aws_access_key_id": "canary-root", "aws_secret_access_key": "canary-root-secret"}


def rendered(folder, issuer):
    """What `infra/terraform/policies` puts out; nothing is left in the working tree."""
    ignored = shutil.ignore_patterns(".terraform*")
    shutil.copytree(POLICIES, folder / "policies", ignore=ignored)
    given = {"bucket": BUCKET, "oidc_provider_arn": PROVIDER}
    given["oidc_issuer_url"] = f"https://{issuer.host}"
    environment = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
    for words in (
        ("init", "-input=false"),
        ("apply", "-input=false", "-auto-approve", *(f"-var={k}={v}" for k, v in given.items())),
        ("output", "-json"),
    ):
        ran = subprocess.run(
            ["terraform", *words],
            cwd=folder / "policies",
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    return {name: output["value"] for name, output in json.loads(ran.stdout).items()}


def unlimited(issuer):
    """The same where terraform is not installed: every role may do everything."""

    def document(**words):
        statement = {"Effect": "Allow", **words}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def trust(account):
        claims = {f"{issuer.host}:aud": AUDIENCE}
        claims[f"{issuer.host}:sub"] = f"system:serviceaccount:nocturne:{account}"
        return document(
            Action="sts:AssumeRoleWithWebIdentity",
            Principal={"Federated": PROVIDER},
            Condition={"StringEquals": claims},
        )

    roles = ("trainer", "promoter", "server", "retention", "registry")
    places = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    everything = {"Action": ["s3:*"], "Resource": places}
    return {
        "documents": dict.fromkeys(roles, document(**everything)),
        "trust": {role: trust(role) for role in roles},
        "bucket_policy": document(Principal="*", **everything),
    }


class Issuer:
    """Of a cluster's tokens: it signs them, and publishes the keys that they are verified by."""

    def __init__(self):
        self.key = jwk.RSAKey.generate_key(2048, {"kid": "cluster"})

    @contextmanager
    def published(self):
        """Answer on loopback until the block ends."""
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                found = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                if self.path == "/keys":
                    found = {"keys": [issuer.key.as_dict(private=False)]}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *arguments):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
            self.host = f"127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()

    @property
    def url(self):
        return f"http://{self.host}"

    def token(self, account, *, audience=AUDIENCE, namespace="nocturne", key=None):
        """Of a service account, for two hours."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": audience, "iat": now, "exp": now + 7_200}
        claims["sub"] = f"system:serviceaccount:{namespace}:{account}"
        return jwt.encode({"alg": "RS256", "kid": "cluster"}, claims, key or self.key)


@dataclass
class Cloud:
    """The service, and what is needed to be somebody there.

    Attributes:
        folder: Holds tokens.
        port: Of S3, STS and IAM over TLS.
        plain_port: Of the same without TLS.
        certificate: File of the certificate that vouches for it.
        trust: Trust policy documents by role, as terraform rendered them.
        limits: Whether a role's document is terraform's.
    """

    folder: Path
    port: int
    plain_port: int
    certificate: Path
    issuer: Issuer
    trust: dict = field(repr=False)
    limits: bool

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def account_of(self, role):
        """The service account that the role's trust policy names."""
        said = json.loads(self.trust[role])["Statement"][0]["Condition"]["StringEquals"]
        subject = next(value for name, value in said.items() if name.endswith(":sub"))
        return subject.removeprefix("system:serviceaccount:nocturne:")

    def variables(self, role):
        """What EKS gives a pod of the role's account, and where the service is."""
        token = self.folder / f"{role}.token"
        token.write_text(self.issuer.token(self.account_of(role)))
        return {
            "AWS_ROLE_ARN": arn_of(role),
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ROLE_SESSION_NAME": role,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_CA_BUNDLE": str(self.certificate),
            "REQUESTS_CA_BUNDLE": str(self.certificate),  # for addresses that MLflow has signed
            "AWS_DEFAULT_REGION": REGION,
        }

    def assume(self, role, token):
        """Credentials of a role for who shows the token; raises botocore's error if refused."""
        sts = self.client("sts", config=Config(signature_version=botocore.UNSIGNED))
        found = sts.assume_role_with_web_identity(
            RoleArn=arn_of(role), RoleSessionName=role, WebIdentityToken=token
        )["Credentials"]
        return {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }

    def client(self, service="s3", *, url="", **keys):
        """One of boto3's, by whatever keys are given."""
        return boto3.client(
            service,
            endpoint_url=url or self.url,
            region_name=REGION,
            verify=str(self.certificate),
            **keys,
        )

    @cached_property
    def root(self):
        """S3 for who may do everything, but for what the bucket's policy denies everybody."""
        return self.client(**ROOT_KEYS)

    @cached_property
    def without_tls(self):
        """The same without TLS."""
        return self.client(url=f"http://127.0.0.1:{self.plain_port}", **ROOT_KEYS)

    def store(self):
        """The store of the team, for its owner; AWS_CA_BUNDLE must name the certificate."""
        settings = Settings(
            s3_endpoint=self.url,
            s3_access_key=ROOT_KEYS["aws_access_key_id"],
            s3_secret_key=ROOT_KEYS["aws_secret_access_key"],
        )
        return S3Storage(BUCKET, "store", settings=settings)


def arn_of(role):
    return f"arn:aws:iam::123456789012:role/nocturne-{role}"


@contextmanager
def policed_s3(folder):
    """Start it with terraform's documents in force, and yield its `Cloud`.

    Without terraform, `limits` of the cloud is False, and every role may do everything.
    """
    limits = shutil.which("terraform") is not None
    issuer = Issuer()
    with issuer.published(), tempfile.TemporaryDirectory(prefix="weed-") as place:
        said = rendered(folder, issuer) if limits else unlimited(issuer)
        ports = {}
        while len(set(ports.values())) < len(PORTS):
            ports = {name: free_port() for name in PORTS}
        cloud = Cloud(
            folder=folder,
            port=ports["s3.port.https"],
            plain_port=ports["s3.port"],
            certificate=certificate_in(folder),
            issuer=issuer,
            trust=said["trust"],
            limits=limits,
        )
        command = _command(Path(place), ports, cloud.certificate, _identities(said, issuer))
        health = f"http://127.0.0.1:{ports['s3.port']}"
        # asked to end it takes 15 seconds, and nothing of it is to be kept
        try:
            with launched(command, health, folder / "weed.log", asks=(signal.SIGKILL,)):
                _open(cloud, said["bucket_policy"])
                yield cloud
        finally:
            for port in ports.values():
                for socket in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                    socket.unlink()


def _command(place, ports, certificate, configured):
    """`weed server` with all it holds below a folder, and its S3 part's configuration."""
    for name, content in configured.items():
        (place / name).write_text(json.dumps(content))
    return [
        str(Path(sys.executable).with_name("weed")),
        f"-logdir={place}",
        "server",
        f"-dir={place}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{name}={port}" for name, port in ports.items()),
        "-filer",
        f"-filer.localSocket={place}/filer.sock",
        "-s3",
        f"-s3.localSocket={place}/s3.sock",
        f"-s3.config={place}/s3.json",
        f"-s3.iam.config={place}/iam.json",
        f"-s3.cert.file={certificate}",
        f"-s3.key.file={certificate}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=0",
    ]


def _identities(said, issuer):
    """The owner of everything by keys, and the roles by what terraform says of them."""
    keys = {"accessKey": ROOT_KEYS["aws_access_key_id"]}
    keys["secretKey"] = ROOT_KEYS["aws_secret_access_key"]
    owner = {"name": "root", "credentials": [keys], "actions": ["Admin"]}
    about = {"issuer": issuer.url, "clientId": AUDIENCE, "jwksUri": f"{issuer.url}/keys"}
    iam = {
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "sts",
            "signingKey": base64.b64encode(secrets.token_bytes(32)).decode(),
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "providers": [{"name": "cluster", "type": "oidc", "enabled": True, "config": about}],
        "roles": [
            {
                "roleName": f"nocturne-{role}",
                "roleArn": arn_of(role),
                "trustPolicy": _translated(trust, issuer.host),
                "attachedPolicies": [role],
            }
            for role, trust in said["trust"].items()
        ],
        "policies": [
            {"name": role, "document": json.loads(document)}
            for role, document in said["documents"].items()
        ],
    }
    return {"s3.json": {"identities": [owner]}, "iam.json": iam}


def _translated(trust, host):
    """A trust policy in the two names that differ from AWS; all else of it stays."""
    assert trust.count(PROVIDER) == 1
    assert {f"{host}:aud", f"{host}:sub"} <= set(
        json.loads(trust)["Statement"][0]["Condition"]["StringEquals"]
    )
    return json.loads(trust.replace(PROVIDER, "cluster").replace(f"{host}:", "oidc:"))


def _open(cloud, policy, *, patience_seconds=60):
    """Make the bucket as soon as the service has somewhere to put it."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            cloud.root.create_bucket(Bucket=BUCKET)
            break
        except botocore.exceptions.ClientError:
            assert time.monotonic() < deadline
            time.sleep(0.3)
    cloud.root.put_bucket_policy(Bucket=BUCKET, Policy=policy)
