"""Known weaknesses: what fails, what is let through and until when, and what cannot be asked."""

import json
import subprocess
import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from supply_chain.audit import FOUND, HERE, NOT_ASKED, USAGE, judge, told
from supply_chain.exceptions import BadExceptions, Letting, read
from tests.servers import free_port

ROOT = Path(__file__).parents[3]
TODAY = date(2026, 12, 1)
AUDITOR = ROOT / ".venv-audit" / "bin" / "python"
LETTING = """
[[exception]]
id = "CVE-2026-1"
package = "jinja2"
reason = "no template of a stranger is rendered"
until = {until}
"""
LOCK = f"jinja2==3.1.6 --hash=sha256:{'0' * 64}\nrich==15.0.0 --hash=sha256:{'1' * 64}\n"


def package(name, *weaknesses):
    found = [
        {"id": each, "aliases": ["CVE-2026-1"], "fix_versions": ["9.9"]} for each in weaknesses
    ]
    return {"name": name, "version": "3.1.6", "vulns": found}


def letting(until):
    return Letting("CVE-2026-1", "jinja2", "no template of a stranger is rendered", until)


def test_a_known_weakness_fails_with_the_release_that_mends_it(capsys):
    found = judge([package("rich"), package("jinja2", "PYSEC-2026-7")], (), TODAY)
    assert told(found) == FOUND
    said = capsys.readouterr().out
    assert "2 packages asked about: 1 wrong, 0 let through" in said
    assert "jinja2 3.1.6: PYSEC-2026-7; mended in 9.9" in said


def test_an_exception_lets_it_through_on_its_last_day_and_not_after():
    answer = [package("jinja2", "PYSEC-2026-7")]
    found = judge(answer, (letting(TODAY),), TODAY)
    assert (found.wrong, len(found.let)) == ([], 1)
    assert told(found) == 0
    (said,) = judge(answer, (letting(date(2026, 11, 30)),), TODAY).wrong
    assert "its exception ended on 2026-11-30" in said


def test_an_exception_is_for_one_package():
    found = judge([package("rich", "PYSEC-2026-7")], (letting(TODAY),), TODAY)
    assert len(found.wrong) == 2
    assert "nothing needs it; delete it" in found.wrong[1]


def test_a_package_that_the_service_does_not_know_is_not_taken_for_well(capsys):
    silent = {"name": "rich", "skip_reason": "not found"}
    found = judge([silent, package("jinja2")], (letting(TODAY),), TODAY)
    assert told(found) == NOT_ASKED
    assert "could not be asked: the service has no answer for 1" in capsys.readouterr().err
    assert told(judge([silent, package("jinja2", "PYSEC-2026-7")], (), TODAY)) == FOUND


def test_the_exceptions_of_the_project_can_be_read():
    read(HERE / "exceptions.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LETTING.format(until='"soon"'), "until is 'soon'; write a day"),
        (LETTING.format(until="2027-01-31T00:00:00"), "write a day"),
        ("[[exception]]\nid = 'X'\n", "exception 1: has ['id']; it needs exactly"),
        (LETTING.format(until="2027-01-31").replace("no template of a stranger is rendered", " "),
         "reason is ' '; write some text"),
        ("[[exceptions]]\n", "unknown ['exceptions']"),
        ("exception =", "exceptions.toml: "),
    ],
)  # fmt: skip
def test_an_exception_that_says_too_little_is_refused(text, said, tmp_path):
    (tmp_path / "exceptions.toml").write_text(text)
    with pytest.raises(BadExceptions) as refused:
        read(tmp_path / "exceptions.toml")
    assert said in str(refused.value)


@contextmanager
def service(known):
    """A service of weaknesses that speaks as OSV does."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]
            mended = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.7"}]}
            affected = [{"package": asked, "ranges": [mended]}]
            found = [
                {"id": each, "aliases": ["CVE-2026-1"], "affected": affected}
                for each in known.get(asked["name"], ())
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": found} if found else {}).encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def audited(folder, url, until="2027-01-31"):
    (folder / "a.lock").write_text(LOCK)
    (folder / "exceptions.toml").write_text(until and LETTING.format(until=until))
    return subprocess.run(
        [str(AUDITOR), "-m", "supply_chain.audit", "--osv-url", url,
         "--exceptions", str(folder / "exceptions.toml"), str(folder / "a.lock")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not AUDITOR.exists(), reason="`make audit` has made no .venv-audit here")
def test_pip_audit_asks_and_its_answer_is_the_exit_code(tmp_path):
    with service({"jinja2": ["GHSA-1"]}) as url:
        found = audited(tmp_path, url, until="")
        assert found.returncode == FOUND
        assert "jinja2 3.1.6: CVE-2026-1; mended in 3.1.7" in found.stdout
        over = audited(tmp_path, url, until="2026-01-31")
        assert over.returncode == FOUND
        assert "ended on 2026-01-31" in over.stdout
        assert audited(tmp_path, url, until='"soon"').returncode == USAGE
        let = audited(tmp_path, url, until="9999-01-31")
        assert let.returncode == 0
        assert "2 packages asked about: 0 wrong, 1 let through" in let.stdout
    away = audited(tmp_path, f"http://127.0.0.1:{free_port()}/v1/query")
    assert away.returncode == NOT_ASKED
    assert "could not be asked" in away.stderr
    assert "Traceback" not in away.stderr
