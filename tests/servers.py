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
from http.server import BaseHTTPRequestHandler, HTTPServer


def free_port():
    """A port that nobody listens on, below those that the system hands to callers meanwhile."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports were tried and all are taken")


@contextmanager
def running(arguments, health, log, *, environment=None, patience_seconds=240):
    """Run `python -m ...` until the block ends; yields once `health` answers with any status."""
    with log.open("ab") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *arguments],
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
        stop(server)


def stop(server):
    """Ask the group to end, then kill what is left of it."""
    for ask in (signal.SIGTERM, signal.SIGKILL):
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
