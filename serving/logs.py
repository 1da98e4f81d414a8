"""The server's log: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

OURS = ("serving", "tasks", "model_registry", "infra", "uvicorn")


class JsonLines(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up(*, as_json: bool) -> None:
    """Write our own records to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    words = logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if as_json else words)
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING if name == "uvicorn" else logging.INFO)
        logger.propagate = False
        logger.handlers = [handler]
