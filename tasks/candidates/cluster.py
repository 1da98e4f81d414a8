"""Jobs on a Ray cluster: what `room.Room` is on this machine, on many.

A seat is an actor, which is a process on some node with as many cores as a job has threads. It
has a room of its own there, whose worker runs one job after another, just as it would here: the
same process, seed and threads, so the same numbers. Files are not sent: every node sees the
folder of `NOCTURNE_HOME`, under the same name.

A seat that dies costs only its job, which is tried again in another one and goes on after the
last whole epoch where it has a key. Seats end with this process, whichever way it ends, and their
workers with them, because the pipe between the two ends.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from infra import cluster
from infra.cluster import NoCluster
from infra.settings import Settings
from infra.stopping import NightStopped
from tasks.candidates.job import Job
from tasks.candidates.room import Room
from tasks.questions import TRAINING, code

logger = logging.getLogger(__name__)

AGAIN = 2  # times that a job is tried again after its seat died
LOOK_SECONDS = 120  # until every node must have looked at the folder

leaving = threading.Event()  # set where jobs in other threads shall end


class Left(RuntimeError):
    """Jobs were given up because the process wants to end."""


def reached() -> Any:
    """Ray, connected; every node sees the home and runs this very code.

    Raises:
        NoCluster: it cannot be reached, or one of its nodes does not fit.
    """
    ray = cluster.ray()
    if not ray.is_initialized():
        settings = Settings()
        cluster.connect(settings.ray)
        try:
            _look(ray, settings.home.resolve())
        except BaseException:
            ray.shutdown()
            raise
    return ray


def _look(ray: Any, home: Path) -> None:
    """Let every node look for a file that is written now."""
    home.mkdir(parents=True, exist_ok=True)
    mark = home / f".seen-{uuid4().hex}"
    mark.touch()
    on = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    misfit = ray.remote(num_cpus=0, max_retries=0)(misfit_of_node)
    try:
        asked = [
            misfit.options(scheduling_strategy=on(node["NodeID"], soft=False)).remote(
                str(mark), code(TRAINING)
            )
            for node in ray.nodes()
            if node["Alive"]
        ]
        found = ray.get(asked, timeout=LOOK_SECONDS)
    except Exception as error:
        why = _last_line(error)
        raise NoCluster(
            f"a node cannot run this program ({why}); install the same Nocturne and packages on "
            "every node"
        ) from None
    finally:
        mark.unlink()
    misfits = sorted({said for said in found if said})
    if misfits:
        raise NoCluster("; ".join(misfits))


def misfit_of_node(mark: str, digest: str) -> str | None:
    """Why this machine cannot run jobs; None where it can.

    Args:
        mark: File that was just written.
        digest: Of the code and the libraries that train.
    """
    name, home = socket.gethostname(), Path(mark).parent
    if not Path(mark).exists():
        return (
            f"node {name} does not see {home}; let NOCTURNE_HOME be a folder that all nodes "
            "share, under one name"
        )
    if code(TRAINING) != digest:
        return f"node {name} has other code or libraries; install the same on every node"
    return None


class Seat(Room):
    """A place for one job at a time on a node.

    Args:
        first: The job that comes first.
        backend: Of Keras, where the environment of whoever asks names one.
    """

    def __init__(self, first: Job, backend: str | None) -> None:
        if backend:
            os.environ["KERAS_BACKEND"] = backend
        super().__init__(first)

    def hear(self) -> dict[str, Any]:
        """The next message.

        Raises:
            RuntimeError: there will be no more; says why.
        """
        message = super().hear()
        if message is None:
            raise RuntimeError(self.lost())
        return message


class Cluster:
    """Seats, as many as jobs run at once.

    Args:
        first: The job that comes first.

    Raises:
        NoCluster: it cannot be reached, or one of its nodes does not fit.
    """

    def __init__(self, first: Job) -> None:
        self._ray = reached()
        seat = self._ray.remote(
            num_cpus=min(first.threads, max(cluster.cores())),  # no node has more
            max_concurrency=2,  # it hears while it is told to end
        )
        self._kind = seat(Seat)
        self._jobs: dict[str, Job] = {}
        self._seats: dict[str, Any] = {}
        self._free: list[Any] = []
        self._asked: dict[Any, str] = {}  # for a message, and of which job
        self._deaths: Counter[str] = Counter()
        self._ending: set[str] = set()

    def start(self, job: Job) -> None:
        """Give a job a seat; it waits there until a node has room for it."""
        self._jobs[job.name] = job
        backend = os.environ.get("KERAS_BACKEND")
        seat = self._free.pop() if self._free else self._kind.remote(job, backend)
        self._seats[job.name] = seat
        seat.start.remote(job)
        self._asked[seat.hear.remote()] = job.name

    def end(self, name: str) -> None:
        """Ask for a job's end; that it ended is heard like any other end."""
        self._ending.add(name)
        self._seats[name].end.remote(name)

    def hear(self) -> dict[str, Any] | None:
        """The next message; None when the cluster is gone.

        Raises:
            Left: the process wants to end.
            NightStopped: it was asked to, by SIGTERM.
        """
        self._leave(self._free)  # nothing waits for a seat, or it would have one
        errors = self._ray.exceptions
        try:
            ready: list[Any] = []
            while not ready:
                if leaving.is_set():
                    raise Left("given up because the process ends")
                ready, _ = self._ray.wait(list(self._asked), timeout=1)
            name = self._asked.pop(ready[0])
            message: dict[str, Any] = self._ray.get(ready[0])
        except ConnectionError:
            return None
        except SystemExit:  # what Ray makes of one that a signal's handler raised within it
            raise NightStopped from None
        except errors.RayError as error:
            return self._again(name, _last_line(error))
        if "ended" in message:
            self._free.append(self._seats.pop(name))
        else:
            self._asked[self._seats[name].hear.remote()] = name
        return message

    def _again(self, name: str, why: str) -> dict[str, Any]:
        """A job whose seat died gets another one, but not for ever."""
        self._leave([self._seats.pop(name)])
        if name in self._ending:
            return {"ended": name, "code": -signal.SIGKILL}
        self._deaths[name] += 1
        if (times := self._deaths[name]) > AGAIN:
            reason = f"its process on the cluster died {times} times, at last: {why}"
            return {"ended": name, "code": 1, "reason": reason}
        self.start(self._jobs[name])
        said = f"{name}: its process on the cluster died, it is tried again ({why})"
        return {"log": said, "name": __name__, "level": logging.WARNING}

    def _leave(self, seats: list[Any]) -> None:
        while seats:
            self._ray.kill(seats.pop())

    def lost(self) -> str:
        """Why there will be no more."""
        return "the connection to the Ray cluster was lost"

    def close(self) -> None:
        """End the seats and, with them, whatever still runs."""
        self._leave([*self._seats.values(), *self._free])


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
