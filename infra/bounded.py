"""Calls that end in time, also where whoever answers drips byte after byte for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")


class Overdue(Exception):
    """The call took longer than it may; it is left to itself."""


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What a call answers, if it does in time.

    A socket's own timeout counts from byte to byte, so that a peer who sends one now and then
    holds its caller for ever. This one counts from the beginning.

    Args:
        seconds: How long it may take.
        call: Runs in a thread of its own. One that is late is left behind there: it must not
            change anything that its caller goes on with.

    Raises:
        Overdue: no answer in time.
    """
    ended: Future[Result] = Future()

    def work() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:  # the caller's to handle, whatever it is
            ended.set_exception(error)

    threading.Thread(target=work, name="bounded call", daemon=True).start()
    if not wait([ended], seconds).done:
        raise Overdue(f"no whole answer within {seconds:.0f} s")
    return ended.result()
