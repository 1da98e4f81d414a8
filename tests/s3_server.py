"""A real S3 service on loopback (moto), and a wire to it that can be cut."""

import socket
import threading
import uuid
from contextlib import contextmanager
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


@contextmanager
def wire(target_port, *, cut_after_bytes, times, when=b""):
    """Forward connections, but cut the answers of the first `times` that match.

    Args:
        target_port: Of the real service.
        cut_after_bytes: Bytes of the answer that still arrive.
        times: Answers to cut.
        when: A request is only cut if it begins with this, such as b"PUT".
    """
    left = [times]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        arguments = (listener, target_port, cut_after_bytes, left, when)
        threading.Thread(target=_serve, args=arguments, daemon=True).start()
        yield listener.getsockname()[1], left
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener, *how):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_forward, args=(client, *how), daemon=True).start()


def _forward(client, target_port, cut_after_bytes, left, when):
    with client, socket.create_connection(("127.0.0.1", target_port)) as server:
        request = client.recv(65_536)
        cut = left[0] > 0 and request.startswith(when)
        left[0] -= cut
        server.sendall(request)
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        sent = 0
        while data := _receive(server):
            if cut and sent + len(data) > cut_after_bytes:
                _send(client, data[: cut_after_bytes - sent])
                # the other thread still reads, so closing alone would tell the client nothing
                client.shutdown(socket.SHUT_RDWR)
                return
            sent += len(data)
            if not _send(client, data):
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
