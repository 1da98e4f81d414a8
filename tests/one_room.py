"""One process that candidates are forked from, for tests to which it is all the same."""

from contextlib import contextmanager

import pytest

from tasks.candidates import parallel
from tasks.candidates.room import Room


@contextmanager
def one_room():
    """Every `run_all` inside takes the first one's process, which loaded Keras: 4 CPU seconds."""
    rooms = []

    def entered(first):
        if not rooms:
            rooms.append(Room(first))
        return rooms[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Room, "close", lambda room: None)
        patch.setattr(parallel, "Room", entered)
        yield
    for room in rooms:
        room.close()
