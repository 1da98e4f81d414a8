"""The scoring server of a pipeline, in this process or in several that share its port."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.options import pipeline_of
from infra.orchestration import QUIET
from infra.settings import Settings
from serving.access import Access, refuse_root
from serving.logs import set_up
from serving.workers import Workers
from tasks.config import ConfigError


def run(
    conf: Path,
    given: Mapping[str, Any],
    token_file: Path | None,
    *,
    workers: int,
    worker: int | None,
    as_json: bool,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Args:
        conf: Pipeline file.
        given: Settings that the command line names; None: the environment's.
        token_file: Holds the token; the environment's where absent.
        workers: Processes that share the port.
        worker: Which of several this one is; None: it is the only one, or starts them.
        as_json: Log one JSON object a line.

    Raises:
        BindRefused: an address that needs a token.
        RootRefused: the superuser, unless `NOCTURNE_SERVE_AS_ROOT` is set.
        ConfigError: a port that several cannot share.
        OSError: the address cannot be had.
    """
    from serving.main import serve, token_from

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    set_up(as_json=as_json)
    pipeline = pipeline_of(conf)
    settings = Settings()
    named = {key: value for key, value in given.items() if value is not None}
    token = token_from(settings, str(token_file) if token_file else None)
    settings = settings.model_copy(update={**named, "serve_token": token})
    Access.of(settings.serve_host, token, settings.serve_allowed_hosts)
    refuse_root(os.geteuid(), allowed=settings.serve_as_root)
    if workers == 1 or worker is not None:
        serve(pipeline, settings, first=not worker, shared=worker is not None)
        return 0
    if not settings.serve_port:
        raise ConfigError("port 0: several processes need one port to share; name it")
    command = [sys.executable, "-m", "flows.cli", "serve", str(conf), "--host"]
    command += [settings.serve_host, "--port", str(settings.serve_port)]
    command += ["--workers", str(workers), *(["--json"] if as_json else [])]
    command += ["--token-file", str(token_file)] if token_file else []
    numbers = settings.work / pipeline.name / "serving" / "numbers"
    return Workers([*command, "--worker"], workers, numbers).run()
