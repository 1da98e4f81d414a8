import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.health import main


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_answers_is_healthy(address, monkeypatch):
    assert main([f"{address}/health"]) == 0
    monkeypatch.setenv("NOCTURNE_HEALTH_URL", f"{address}/health")
    assert main([]) == 0


def test_one_that_refuses_or_is_not_there_is_not(address, capsys):
    assert main([f"{address}/busy"]) == 1
    assert "503" in capsys.readouterr().err
    assert main(["http://127.0.0.1:9/health"]) == 1


def test_only_servers_are_asked(capsys):
    assert main(["file:///etc/passwd"]) == 2
    assert "must begin with http" in capsys.readouterr().err
