"""Where a server keeps what it serves: verified bundles, compiled graphs, and who runs beside it.

Below one folder a pipeline: `vVERSION-DIGEST/` (bundles), `compiled/DIGEST/`, `live.json` (the
last version that took traffic) and `run/PID.json` (a heartbeat a process).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import write_whole
from model_registry.state import Champion

RUNTIMES = ("keras", "onnx", "onnxruntime", "tf2onnx")
KEPT = 6  # versions at hand, so that going back takes no download
SILENT_SECONDS = 10.0


@dataclass(frozen=True)
class Places:
    """The folder of one pipeline's servers on this machine."""

    folder: Path

    def bundle(self, champion: Champion) -> Path:
        """Where a version's bundle lies."""
        return self.folder / f"v{champion.version}-{champion.digest[:16]}"

    def compiled(self, champion: Champion) -> Path:
        """Where what was compiled of it lies."""
        return self.folder / "compiled" / champion.digest[:16]

    def is_ready(self, champion: Champion) -> bool:
        """Whether both are there, compiled with the libraries that are installed now."""
        facts = _read(self.compiled(champion) / "compiled.json") or {}
        return self.bundle(champion).is_dir() and facts.get("versions") == versions()

    def forget(self, champion: Champion) -> None:
        """Remove what is at hand of a version."""
        shutil.rmtree(self.compiled(champion), ignore_errors=True)
        shutil.rmtree(self.bundle(champion), ignore_errors=True)

    def keep_few(self, needed: Collection[str]) -> None:
        """Remove bundles beyond the newest few, but none of the needed digests."""
        bundles = sorted(self.folder.glob("v*-*"), key=lambda path: path.stat().st_mtime)
        short = {digest[:16] for digest in needed}
        for path in bundles[:-KEPT]:
            digest = path.name.rpartition("-")[2]
            if digest not in short:
                shutil.rmtree(path, ignore_errors=True)
                shutil.rmtree(self.folder / "compiled" / digest, ignore_errors=True)

    def note_live(self, champion: Champion) -> None:
        """Remember who took traffic last, for a start without ledger and registry."""
        told = {"version": champion.version, "digest": champion.digest, "since": champion.since}
        os.utime(self.bundle(champion))
        _write(self.folder / "live.json", told)

    def last_live(self) -> Champion | None:
        """Who took traffic last on this machine."""
        told = _read(self.folder / "live.json")
        try:
            return Champion(**told) if told else None
        except TypeError:
            return None

    def beat(self, version: str | None, now: float) -> None:
        """Say that this process lives and what it serves."""
        _write(self.folder / "run" / f"{os.getpid()}.json", {"version": version, "at": now})

    def fall_silent(self) -> None:
        """This process ends."""
        (self.folder / "run" / f"{os.getpid()}.json").unlink(missing_ok=True)

    def others(self, now: float) -> list[dict[str, Any]]:
        """The other servers of this pipeline that run here: process id, version, seconds ago."""
        found = []
        for path in sorted((self.folder / "run").glob("*.json")):
            told, process = _read(path), int(path.stem)
            if not Path(f"/proc/{process}").exists():
                path.unlink(missing_ok=True)
            elif told and process != os.getpid():
                ago = round(now - told["at"], 1)
                found.append({"process": process, "version": told["version"], "seconds_ago": ago})
        return found


def versions() -> dict[str, str]:
    """Of what compiles and runs a graph."""
    return {name: importlib.metadata.version(name) for name in RUNTIMES}


def now() -> float:
    """Seconds since 1970."""
    return time.time()


def _write(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, lambda file: file.write(json.dumps(content).encode()))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
