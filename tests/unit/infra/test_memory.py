import resource
import subprocess
import sys

import pytest

from infra.memory import explained


@pytest.mark.parametrize(
    "said",
    [
        "MemoryError: ",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB for an array",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "ImportError: libtensorflow_cc.so.2: failed to map segment from shared object",
        "LLVM ERROR: pthread_create failed: Resource temporarily unavailable",
        "ResourceExhaustedError: OOM when allocating tensor with shape[1024,1024]",
        "OSError: [Errno 12] Cannot allocate memory",
    ],
)
def test_the_many_ways_to_say_that_memory_ran_out_are_one(said):
    told = explained(said)
    assert told.startswith("memory ran out")
    assert said in told
    assert "NOCTURNE_WORKERS" in told
    assert explained(told) == told


def test_what_is_something_else_stays_as_it_is():
    assert explained("ValueError: shapes do not fit") == "ValueError: shapes do not fit"


LIMITED = """
import resource
from infra.memory import explained
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, resource.RLIM_INFINITY))
try:
    bytes(1 << 30)
except MemoryError as error:
    print(explained(f"{type(error).__name__}: {error}"))
"""


def test_a_limit_of_the_process_is_named():
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("memory ran out (limit: 512 MiB a process): MemoryError")
