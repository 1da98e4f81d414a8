"""Real servers on loopback, in process groups of their own, stopped by their process id."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ASKS = (signal.SIGTERM, signal.SIGKILL)


def free_port():
    """A port that nobody listens on, below those that the system hands to callers meanwhile."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports were tried and all are taken")


def running(arguments, health, log, **how):
    """Run `python -m ...` until the block ends; `launched` says how."""
    return launched([sys.executable, "-m", *arguments], health, log, **how)


@contextmanager
def launched(command, health, log, *, environment=None, patience_seconds=240, asks=ASKS):
    """Run a command until the block ends; yields once `health` answers with any status.

    Args:
        command: Its words.
        health: An address of it.
        log: What it says is added there.
        environment: Its variables; this process's own where None.
        patience_seconds: Until the first answer.
        asks: Signals that end it, each with 15 seconds until the next.
    """
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            env=environment or dict(os.environ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + patience_seconds
        while not answers(health):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"{health} is silent\n" + log.read_text()[-3000:]
            time.sleep(0.3)
        yield server
    finally:
        stop(server, asks)


def stop(server, asks=ASKS):
    """Ask the group to end, then kill what is left of it."""
    for ask in asks:
        try:
            os.killpg(server.pid, ask)
            server.wait(15)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def receiver(status=200):
    """A server that keeps the bodies it is sent; yields its port and them."""
    heard = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Takes) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port, heard
        server.shutdown()
        thread.join()


def certificate_in(folder):
    """The file of a key and of the certificate that vouches for 127.0.0.1, for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    style = serialization.PrivateFormat.PKCS8
    path = folder / "certificate.pem"
    path.write_bytes(key.private_bytes(pem, style, plain) + certificate.public_bytes(pem))
    return path
