"""Run in the image by `image_check.sh`: who it is, what it may write, is its list whole.

Exit code 1: what is wrong is said.
"""

import json
import os
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

OURS = ("/app", "/opt/nocturne")
UID = 10001
SECRET = re.compile(r"\.(key|env)$|^\.git$|^\.netrc$|^pip\.conf$")


def plain(name: str) -> str:
    """A package's name as all of its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def found() -> list[str]:
    """What is wrong, a line each."""
    said = [] if os.geteuid() == UID else [f"it runs as uid {os.geteuid()}, expected {UID}"]
    for folder in OURS:
        for path in Path(folder).rglob("*"):
            if not path.is_symlink() and os.access(path, os.W_OK):
                said.append(f"{path} can be written")
            key = path.suffix == ".pem" and b"PRIVATE KEY" in path.read_bytes()
            if key or SECRET.search(path.name):
                said.append(f"{path} may be a secret")
    listed = {
        plain(one["name"]) for one in json.loads(Path("/app/sbom.json").read_text())["components"]
    }
    installed = {plain(one.metadata["Name"]) for one in distributions()} - {"nocturne"}
    said += [f"sbom.json: {name} is not listed" for name in sorted(installed - listed)]
    said += [f"sbom.json: {name} is not installed" for name in sorted(listed - installed)]
    print(f"{len(installed)} packages, {len(listed)} in sbom.json")
    return said


if __name__ == "__main__":
    wrong = found()
    for line in wrong:
        print(line)
    sys.exit(bool(wrong))
