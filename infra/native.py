"""What native libraries write to standard error while they are loaded."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# said before any variable is read that would keep it quiet
_CHATTER = re.compile(rb"[IW]\d{4} [\d:.]+ |WARNING: All log messages before absl::|To enable the ")


@contextmanager
def without_chatter() -> Iterator[None]:
    """Leave out their remarks on the machine; whatever else is said meanwhile comes at the end."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)
