"""Promotions on a real folder: a page like MLflow's, and faults at any call."""

import hashlib
import json
import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from infra.local import LocalStorage
from model_registry.asking import Asked, Facts, Judged
from model_registry.errors import PromotionLost, RegistryError, RegistryUnreachable
from model_registry.ledger import Ledger
from model_registry.mirror import Mirror, Standing
from model_registry.outcomes import Outcome
from model_registry.planning import OnHandChange
from model_registry.protocol import Promotions

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
FACTS = Facts(
    logical_date="2026-07-01",
    digests={"data": "d1", "test": "t1"},
    seeds={"training": 17},
    metrics={"challenger": {"macro_f1": (0.81, 0.78, 0.84)}},
    gates=[{"gate": "beats_champion", "passed": True, "sentence": "+0.03", "numbers": {"p": 0.01}}],
)


class Died(BaseException):
    """The process is gone, as far as the test goes."""


class FolderMirror:
    """Stages, aliases and bundles as files, changed one by one and without any lock.

    As in MLflow, a move to Production reads who is there and then archives them, so racing
    callers may leave several versions in Production.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writes: list[tuple[str, str | None]] = []
        for folder in ("stages", "tags", "bundles"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def register(self, version: str) -> str:
        """Make a version with a bundle of its own; its digest."""
        content = f"bundle of v{version}".encode()
        _replace(self.root / "bundles" / version, content)
        _replace(self.root / "stages" / version, b"Staging")
        return hashlib.sha256(content).hexdigest()

    def digest(self, version: str) -> str:
        return hashlib.sha256((self.root / "bundles" / version).read_bytes()).hexdigest()

    def lose(self, version: str) -> None:
        (self.root / "bundles" / version).unlink(missing_ok=True)

    @property
    def down(self) -> bool:
        return (self.root / "down").exists()

    def set_down(self, down: bool) -> None:
        (self.root / "down").touch() if down else (self.root / "down").unlink(missing_ok=True)

    def unfit(self, version: str, digest: str) -> str | None:
        try:
            content = (self.root / "bundles" / version).read_bytes()
        except FileNotFoundError:
            return f"artifact of v{version} missing"
        found = hashlib.sha256(content).hexdigest()
        return None if found == digest else f"digest mismatch, expected {digest} got {found}"

    def stages(self) -> dict[str, str]:
        return {
            path.name: path.read_text()
            for path in (self.root / "stages").iterdir()
            if not path.name.startswith(".")
        }

    def tags(self, version: str) -> dict[str, str]:
        return json.loads((self.root / "tags" / version).read_text())

    def standing(self) -> Standing:
        self._answer()
        alias = _text(self.root / "alias")
        production = frozenset(v for v, stage in self.stages().items() if stage == "Production")
        shown = {*production, *([alias] if alias else [])}
        bundles = ((version, self.root / "bundles" / version) for version in shown)
        digests = {v: hashlib.sha256(p.read_bytes()).hexdigest() for v, p in bundles if p.exists()}
        return Standing(production, alias, digests)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        self._answer()
        self.writes.append(("tag", version))
        _replace(self.root / "tags" / version, json.dumps(dict(tags)).encode())

    def set_stage(self, version: str, stage: str) -> None:
        self._answer()
        self.writes.append((stage, version))
        if stage == "Production":
            present = [v for v, s in self.stages().items() if s == "Production" and v != version]
        else:
            present = []
        _replace(self.root / "stages" / version, stage.encode())
        for other in present:
            _replace(self.root / "stages" / other, b"Archived")

    def set_alias(self, version: str | None) -> None:
        self._answer()
        self.writes.append(("alias", version))
        if version is None:
            (self.root / "alias").unlink(missing_ok=True)
        else:
            _replace(self.root / "alias", version.encode())

    def _answer(self) -> None:
        if self.down:
            raise RegistryUnreachable("MLflow does not answer")


WRITES = frozenset({"put", "tag", "set_stage", "set_alias"})


@dataclass
class Points:
    """Counts every moment before and after a call, and does something at one of them.

    Between two writes nothing changes for anybody else, so that `WRITES` alone are enough to
    die at; a call whose answer is lost may be any.
    """

    at: int | None = None
    act: Callable[[str], None] = lambda name: None
    calls: frozenset[str] | None = None
    crossed: int = 0

    def cross(self, name: str) -> None:
        if self.calls is not None and name.split()[1] not in self.calls:
            return
        self.crossed += 1
        if self.crossed == self.at:
            self.act(name)


class Watched:
    """Anything, with a point before and after each call of its methods."""

    def __init__(self, inner: Any, points: Points) -> None:
        self._inner = inner
        self._points = points

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            self._points.cross(f"before {name}")
            result = value(*args, **options)
            result = iter(list(result)) if isinstance(result, Iterator) else result
            self._points.cross(f"after {name}")
            return result

        return call


def dies(name: str) -> None:
    raise Died(name)


def fails(name: str) -> None:
    """The call or its answer is lost, and the process lives on."""
    kind = name.split()[1]
    ours = kind in ("put", "get", "exists", "keys", "honours_conditional_writes")
    raise OSError(name) if ours else RegistryUnreachable(name)


def killed(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stopped(name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


class Place:
    """One pipeline's ledger and mirror in a folder."""

    def __init__(self, home: Path, on_hand_change: OnHandChange = "revert") -> None:
        self.home = home
        self.on_hand_change = on_hand_change
        self.mirror = FolderMirror(home / "mirror")
        self.ledger = Ledger(LocalStorage(home / "store"), "tickets")

    def promotions(
        self, points: Points | None = None, still_ours: Callable[[], None] = lambda: None
    ) -> Promotions:
        """As a new process would open them, with faults at the points."""
        points = points or Points()
        mirror: Mirror = Watched(self.mirror, points)  # type: ignore[assignment]
        store = Watched(LocalStorage(self.home / "store"), points)
        return Promotions(
            Ledger(store, "tickets"),  # type: ignore[arg-type]
            mirror,
            unfit=Watched(self.mirror, points).unfit,
            on_hand_change=self.on_hand_change,
            still_ours=still_ours,
        )

    def judged(self, version: str, digest: str | None = None) -> Judged:
        """A new version, judged against who is champion now."""
        champion = self.promotions().state().champion
        return Judged(version, digest or self.mirror.register(version), champion, FACTS)

    def promoted(self, *versions: str) -> "Place":
        """After these promotions, one after the other."""
        for version in versions:
            self.promotions().promote(self.judged(version), asked(f"night of v{version}"))
        return self


def asked(request: str | None = None, *, person: bool = False, minutes: int = 0) -> Asked:
    name = request or uuid.uuid4().hex
    return Asked(name, "tests", "because", NOON + timedelta(minutes=minutes), person)


@contextmanager
def quick_disk() -> Iterator[None]:
    """Without waiting for the disk: a killed process loses nothing that it wrote."""
    flush, os.fsync = os.fsync, lambda descriptor: None
    try:
        yield
    finally:
        os.fsync = flush


def act(place: Place, promotions: Promotions, rng: random.Random) -> Outcome | None:
    """One thing that a night or a person may do; None where it was refused."""
    name = uuid.uuid4().hex
    promotions.reconcile(asked(name))
    version = str(rng.randrange(10**9))
    choice = rng.random()
    try:
        if choice < 0.55:
            return promotions.promote(place.judged(version), asked(name))
        if choice < 0.7:
            return promotions.rollback(asked(name))
        if choice < 0.85:
            return promotions.keep(place.judged(version), asked(name))
        promotions.propose(place.judged(version), asked(name))
        return promotions.approve(asked(f"{name} yes"), version)
    except (PromotionLost, RegistryError):
        return None


def act_for_ever(home: Path, seed: str, told: int) -> None:
    """Write each outcome, once it was told, as a line of JSON to a descriptor."""
    place, rng = Place(home), random.Random(seed)
    while True:
        outcome = act(place, place.promotions(), rng)
        if outcome is not None:
            os.write(told, json.dumps({"told": asdict(outcome)}).encode() + b"\n")


def _replace(path: Path, content: bytes) -> None:
    scratch = path.parent.parent / f".{uuid.uuid4().hex}"
    scratch.write_bytes(content)
    scratch.replace(path)


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
