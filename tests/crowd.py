"""Clients of a scoring server: many at once, and such that send anything."""

import json
import threading
import time
from itertools import pairwise

from hypothesis import strategies as st

from tests.live import Asking, bodies

PLAIN = st.none() | st.booleans() | st.floats() | st.text(max_size=40)
CELLS = PLAIN | st.lists(st.integers(), max_size=3)
COLUMNS = st.lists(st.sampled_from(["body", "x"]))
RECORDS = st.lists(st.dictionaries(st.just("body"), CELLS), max_size=9)
SPLIT = {"columns": COLUMNS, "data": st.lists(st.lists(CELLS))}
FORMS = {
    "inputs": st.dictionaries(st.sampled_from(["body", "x"]), st.lists(CELLS, max_size=9)),
    "instances": st.lists(CELLS | st.dictionaries(st.just("body"), CELLS), max_size=9),
    "dataframe_split": st.fixed_dictionaries(SPLIT),
    "dataframe_records": RECORDS,
}
FUZZ = st.one_of(
    st.binary(max_size=300),
    st.recursive(CELLS, lambda inner: st.lists(inner, max_size=5), max_leaves=30).map(json.dumps),
    st.fixed_dictionaries({}, optional=FORMS).map(json.dumps),
)


class Crowd:
    """Clients that ask until they are told to stop; what they saw.

    `seen` holds when a request began and ended, by the monotonic clock in seconds, which client
    asked and which version answered.
    """

    def __init__(self, port, clients, token, *, pause_seconds=0.0):
        self.port, self.token, self.pause = port, token, pause_seconds
        self.seen, self.errors, self.count = [], [], 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(clients)]

    def run(self, number):
        asking = Asking(self.port, None, None)
        texts = bodies(20)
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                content = {"instances": texts[number % 7 : number % 7 + 3]}
                headers = {"authorization": f"Bearer {self.token}"}
                status, _, answer = asking("/invocations", content, headers=headers)
                if status != 200 or len(answer["predictions"]) != 3:
                    self.errors.append((status, answer))
                self.seen.append((began, time.monotonic(), number, answer["model_version"]))
                self.count += 1
                time.sleep(self.pause)
            except OSError as error:
                self.errors.append(repr(error))
        asking.connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)


def against_the_ledger(seen, terms):
    """Every answer that no version gave which was champion while it was asked for.

    Args:
        seen: Of a crowd.
        terms: In the order of the ledger: when a version's promotion began, when the server was
            known to answer with it, and the version.
    """
    late = [*(known for _, known, _ in terms[1:]), float("inf")]
    return [
        (began, ended, client, version)
        for began, ended, client, version in seen
        if not any(
            version == champion and asked <= ended and began <= over
            for (asked, _, champion), over in zip(terms, late, strict=True)
        )
    ]


def moves(seen, client):
    """How often the version changed that one client was answered by."""
    mine = [version for _, _, asker, version in sorted(seen) if asker == client]
    return sum(one != other for one, other in pairwise(mine))
