"""The process that serves schedules, where it is asked to end."""

import asyncio
import gc

import pytest

from flows.scheduling import Served


@pytest.mark.filterwarnings("error")
def test_a_sigterm_ends_it_and_leaves_no_coroutine_that_nobody_awaits():
    async def asked():
        with pytest.raises(SystemExit) as ended:
            Served().handle_sigterm()
        assert ended.value.code == 0

    asyncio.run(asked())
    gc.collect()
