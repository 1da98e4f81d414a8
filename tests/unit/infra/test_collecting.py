"""A process that looked rarely for garbage looks for none when it ends."""

import subprocess
import sys

import pytest

ENDS = """
from infra import collecting
class Garbage:
    def __del__(self):
        print("looked")
{call}
one = Garbage()
one.itself = one
del one
"""


@pytest.mark.parametrize(("call", "said"), [("collecting.rarely()", ""), ("", "looked\n")])
def test_a_process_ends_without_a_last_look(call, said):
    command = [sys.executable, "-c", ENDS.format(call=call)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == said
