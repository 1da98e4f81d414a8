"""Files over https, from a real server with a certificate of its own."""

import hashlib
import ssl
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.datasets.errors import DataError
from tasks.datasets.files import read_csv
from tests.servers import certificate_in

CONTENT = b"text,label\nhello,a\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a folder and the certificate that vouches for it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "rows.csv").write_bytes(CONTENT)
    certificate = certificate_in(tmp_path_factory.mktemp("keys"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", certificate
    server.shutdown()
    server.server_close()


@pytest.fixture
def trusted(site, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(site[1]))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return site[0]


def test_a_pinned_file_is_read(trusted):
    table = read_csv(None, path=f"{trusted}/rows.csv", sha256=DIGEST.upper())
    assert table.to_pydict() == {"text": ["hello"], "label": ["a"]}


def test_a_file_that_is_not_pinned_is_not_even_asked_for():
    with pytest.raises(DataError, match="set `sha256`"):
        read_csv(None, path="https://nowhere.invalid/rows.csv")


def test_a_file_that_changed_is_refused_with_both_digests(trusted):
    with pytest.raises(DataError, match=f"its sha256 is {DIGEST}, and {'1' * 64} is pinned"):
        read_csv(None, path=f"{trusted}/rows.csv", sha256="1" * 64)


def test_a_missing_file_is_named_with_its_status(trusted):
    with pytest.raises(DataError, match=r"gone\.csv: not read \(status 404\)"):
        read_csv(None, path=f"{trusted}/gone.csv", sha256=DIGEST)


def test_a_server_nobody_vouches_for_is_refused(site, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DataError, match="CERTIFICATE_VERIFY_FAILED"):
        read_csv(None, path=f"{site[0]}/rows.csv", sha256=DIGEST)


def test_plain_http_is_refused():
    with pytest.raises(DataError, match="http:// is not read"):
        read_csv(None, path="http://127.0.0.1/rows.csv", sha256=DIGEST)
