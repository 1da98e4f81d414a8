"""The body of a request: JSON by its own word, bounded in size and in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.limits import BODY_BYTES, READ_SECONDS, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


async def body_of(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The body of a request, JSON by its own word, whole and in time.

    Raises:
        Refusal: 415 another type, 413 too long, 408 too slow.
    """
    kind, _, options = headers.get(b"content-type", b"").partition(b";")
    if kind.strip().lower() != b"application/json" or headers.get(b"content-encoding"):
        raise Refusal(
            415,
            f"Content-Type {kind[:60]!a}: must be application/json, not compressed",
            field="Content-Type",
        )
    if b"charset" in options.lower() and b"utf-8" not in options.lower():
        raise Refusal(415, "Content-Type: the charset must be utf-8", field="Content-Type")
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > BODY_BYTES:
        raise _too_long()
    message = await _next(receive, READ_SECONDS)
    if not message.get("more_body"):
        return bytes(message["body"])
    return await _long_body(message["body"], receive)


async def _long_body(first: bytes, receive: Receive) -> bytes:
    parts, size = [first], len(first)
    ends = time.monotonic() + READ_SECONDS
    more = True
    while more:
        message = await _next(receive, ends - time.monotonic())
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES:
            raise _too_long()
        more = message.get("more_body", False)
    return b"".join(parts)


async def _next(receive: Receive, seconds: float) -> Message:
    try:
        async with asyncio.timeout(max(seconds, 0)):
            message = await receive()
    except TimeoutError:
        raise Refusal(
            408, f"body: did not arrive within {READ_SECONDS:g} s", field="body"
        ) from None
    if message["type"] == "http.disconnect":
        raise Refusal(400, "body: the client left before its end", field="body")
    return message


def _too_long() -> Refusal:
    return Refusal(413, f"body: over {BODY_BYTES} bytes; send fewer rows", field="body")
