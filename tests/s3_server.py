"""A real S3 service on loopback (moto), and a wire to it that can be cut or drip."""

import socket
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest

from infra.settings import Settings
from infra.storage import S3Storage
from tests.servers import free_port, running

SECRET = "canary-s3-secret"  # must never show up in a message


@dataclass(frozen=True)
class S3Server:
    """Where the service is."""

    port: int

    def settings(self, port=None):
        return Settings(
            s3_endpoint=f"http://127.0.0.1:{port or self.port}",
            s3_access_key="canary-s3-access",
            s3_secret_key=SECRET,
        )

    def storage(self, prefix="", port=None):
        """A store in a new bucket; with a port, through whatever listens there."""
        bucket = f"trial-{uuid.uuid4().hex}"
        S3Storage(bucket, settings=self.settings())._client.create_bucket(Bucket=bucket)
        return S3Storage(bucket, prefix, settings=self.settings(port))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    port = free_port()
    arguments = ["moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = tmp_path_factory.mktemp("s3") / "server.log"
    with running(arguments, f"http://127.0.0.1:{port}/moto-api/", log):
        yield S3Server(port)


@dataclass
class Fault:
    """What a wire does to requests that match, so many times.

    Attributes:
        after_bytes: Of the answer, or of the request, that still pass.
        times: How often; counted down.
        when: A request is only meant if it begins with this, such as b"PUT".
        drip_seconds: The rest of the answer comes byte by byte, so many seconds apart; where
            None, nothing more comes.
        of_request: The request is cut, and nothing is answered.
    """

    after_bytes: int
    times: int
    when: bytes = b""
    drip_seconds: float | None = None
    of_request: bool = False


@contextmanager
def wire(target_port, fault):
    """Forward connections to the real service, with a fault on the way; yields the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        arguments = (listener, target_port, fault)
        threading.Thread(target=_serve, args=arguments, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent(*, accepts=True):
    """A port that answers nothing: it takes connections, or does not even do that."""
    with ExitStack() as kept:
        listener = kept.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(128 if accepts else 0)
        address = listener.getsockname()
        if not accepts:  # a queue that is full lets no handshake end
            for _ in range(4):
                caller = kept.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(address)
        yield address[1]


def _serve(listener, *how):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_forward, args=(client, *how), daemon=True).start()


def _forward(client, target_port, fault):
    with client, socket.create_connection(("127.0.0.1", target_port)) as server:
        request = client.recv(65_536)
        meant = fault.times > 0 and request.startswith(fault.when)
        fault.times -= meant
        if meant and fault.of_request:
            while len(request) < fault.after_bytes and (more := _receive(client)):
                request += more
            server.sendall(request[: fault.after_bytes])
            return
        server.sendall(request)
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        sent = 0
        while data := _receive(server):
            left = fault.after_bytes - sent
            if meant and left < len(data):
                _send(client, data[:left])
                _drip(client, data[left:], fault.drip_seconds)
                # the other thread still reads, so closing alone would tell the client nothing
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                return
            sent += len(data)
            if not _send(client, data):
                return


def _drip(client, data, seconds):
    for byte in data if seconds is not None else b"":
        time.sleep(seconds)
        if not _send(client, bytes([byte])):
            return


def _pump(source, target):
    while data := _receive(source):
        if not _send(target, data):
            return


def _receive(connection):
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


def _send(connection, data):
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True
