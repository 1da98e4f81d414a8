"""Are weaknesses known of what the locks install? Asked with pip-audit; exceptions have a last day.

    python -m supply_chain.audit [--osv-url URL] [--exceptions FILE] [LOCK ...]

Exit codes: 0 none known · 1 one is known, or an exception is over or needed no more · 2 bad usage
or a bad file of exceptions · 4 could not be asked of all packages, so that nothing is known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from supply_chain.exceptions import BadExceptions, Letting, read

HERE = Path(__file__).parent
LOCKS = sorted(HERE.glob("*.lock"))
FOUND, USAGE, NOT_ASKED = 1, 2, 4
PIP_AUDIT = ("pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off",
             "--format", "json", "--desc", "off", "--aliases", "on")  # fmt: skip


class NotAsked(RuntimeError):
    """The service did not answer; the message says what pip-audit said."""


@dataclass
class Findings:
    """What an audit says.

    Attributes:
        asked: How many packages were asked about, and answered.
        silent: Packages that the service does not know, each with pip-audit's reason.
        wrong: Sentences, each of which is a reason to fail.
        let: Sentences about what is let through.
    """

    asked: int = 0
    silent: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    let: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Ask, judge, tell."""
    parser = argparse.ArgumentParser(prog="python -m supply_chain.audit")
    parser.add_argument("locks", nargs="*", type=Path, default=LOCKS, help="all, if none is named")
    parser.add_argument("--exceptions", type=Path, default=HERE / "exceptions.toml")
    parser.add_argument("--osv-url", help="ask this OSV service instead of the package index")
    asked = parser.parse_args(arguments)
    try:
        lettings = read(asked.exceptions)
        answer = ask(asked.locks, asked.osv_url)
    except BadExceptions as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except NotAsked as error:
        print(f"could not be asked: {error}", file=sys.stderr)
        return NOT_ASKED
    return told(judge(answer, lettings, datetime.now(UTC).date()))


def ask(locks: list[Path], osv_url: str | None) -> list[dict[str, Any]]:
    """pip-audit's answer: a mapping of name, version and weaknesses for each package.

    Raises:
        NotAsked: it has none.
    """
    command = [sys.executable, "-m", *PIP_AUDIT]
    command += ["--vulnerability-service", "osv", "--osv-url", osv_url] if osv_url else []
    command += [word for lock in locks for word in ("--requirement", str(lock))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip-audit, in this interpreter
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except ValueError:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise NotAsked("".join(last) or f"pip-audit ended with {done.returncode}") from None


def judge(answer: list[dict[str, Any]], lettings: tuple[Letting, ...], today: date) -> Findings:
    """Weaknesses against exceptions.

    Args:
        answer: Of pip-audit, package by package.
        lettings: What is let through.
        today: The day it is.
    """
    found, used = Findings(), set()
    for package in answer:
        if "skip_reason" in package:
            found.silent.append(package["name"])
            continue
        found.asked += 1
        for weakness in package["vulns"]:
            names = {weakness["id"], *weakness["aliases"]}
            fits = (e for e in lettings if e.id in names and e.package == package["name"])
            letting = next(fits, None)
            _weigh(found, package, weakness, letting, today)
            used.add(letting)
    if not found.silent:  # else nobody knows whether it is needed
        found.wrong += [
            f"exception {each.id} ({each.package}): nothing needs it; delete it"
            for each in lettings
            if each not in used
        ]
    return found


def _weigh(
    found: Findings,
    package: dict[str, Any],
    weakness: dict[str, Any],
    letting: Letting | None,
    today: date,
) -> None:
    said = f"{package['name']} {package['version']}: {weakness['id']}"
    if letting is None:
        mended = " or ".join(weakness["fix_versions"]) or "no release"
        found.wrong.append(f"{said}; mended in {mended}")
    elif letting.until < today:
        found.wrong.append(f"{said}; its exception ended on {letting.until}: mend it or renew it")
    else:
        found.let.append(f"{said}; let through until {letting.until}: {letting.reason}")


def told(found: Findings) -> int:
    """Print what was found; returns the exit code."""
    counts = f"{len(found.wrong)} wrong, {len(found.let)} let through"
    print(f"{found.asked} packages asked about: {counts}", flush=True)
    for said in (*found.wrong, *found.let):
        print(f"- {said}")
    if found.silent:
        some = ", ".join(found.silent[:5])
        said = f"the service has no answer for {len(found.silent)} packages ({some} ...)"
        print(f"could not be asked: {said}", file=sys.stderr)
    if found.wrong:
        return FOUND
    return NOT_ASKED if found.silent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
