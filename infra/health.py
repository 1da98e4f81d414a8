"""Whether a server on this machine is healthy, for containers: `python -m infra.health [URL]`.

Exit code 0: it answered with 200 in time. The image has no curl, and needs none.
"""

from __future__ import annotations

import os
import sys
import urllib.request

DEFAULT = "http://127.0.0.1:8080/v2/health/live"  # the scoring server's
PATIENCE_SECONDS = 4.0


def main(arguments: list[str]) -> int:
    """Ask once; what is wrong goes to the standard error.

    Args:
        arguments: The URL; without one `NOCTURNE_HEALTH_URL`, else the scoring server's.
    """
    url = arguments[0] if arguments else os.environ.get("NOCTURNE_HEALTH_URL", DEFAULT)
    if not url.startswith(("http://", "https://")):
        sys.stderr.write(f"{url!r}: must begin with http:// or https://\n")
        return 2
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - looked at above
            return 0 if answer.status == 200 else 1
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
