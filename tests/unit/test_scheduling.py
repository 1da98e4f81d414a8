"""The process that serves schedules, where it is asked to end."""

import asyncio
import gc
import tempfile

import pytest

from flows.scheduling import Served


@pytest.mark.filterwarnings("error")
def test_a_sigterm_ends_it_and_leaves_no_coroutine_that_nobody_awaits():
    async def asked():
        served = Served()
        served.handle_sigterm()  # before it began: nothing to leave
        served._ours = asyncio.current_task()
        served.handle_sigterm()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(60)
        served.handle_sigterm()  # while what it runs is ended
        await asyncio.sleep(0.01)
        return "ended in order"

    assert asyncio.run(asked()) == "ended in order"
    gc.collect()


def test_it_begins_where_another_user_of_the_machine_began_before(tmp_path, monkeypatch):
    """Prefect makes its runners' folders in one that is closed to any user but the first."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "runner_storage").write_text("somebody else's")
    folder = Served()._tmp_dir
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
