"""Retries of Hub calls: jittered exponential back-off for temporary failures, one-line errors for permanent ones.

Temporary failures are 408, 409 (concurrent write), 412 (the head has moved), 429 (too many requests), 5xx and dropped
connections. The Hub client retries some of them itself; these retries are around it. Not tenacity: which errors pass,
what a final one says, and a count that starts again after every success (`Tries`) would be ours all the same.
"""

import errno
import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from d3s_dataset.errors import HubError, WriteError, one_line
from d3s_dataset.utils.cli import warn

T = TypeVar("T")
_PASSING = {408, 409, 412, 425, 429}
_LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO, errno.EROFS}


@dataclass(frozen=True)
class Patience:
    """Retry policy.

    It gives up after `tries` consecutive failures. The n-th wait is sampled from [0.5, 1] x `base` x 2^n seconds, at
    most `longest`, and never shorter than the server's Retry-After.
    """

    tries: int = 8
    base: float = 1.0
    longest: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    # Jitter only: nothing that is written depends on it.
    chance: random.Random = field(default_factory=random.Random)

    def call(self, function: Callable[[], T]) -> T:
        """Return the result of `function`, retrying temporary failures.

        Raises:
            HubError: a permanent failure, or too many consecutive ones.
        """
        tries = Tries(self)
        while True:
            with tries.attempt():
                return function()


PATIENCE = Patience()


@dataclass
class Tries:
    """Counter of consecutive failures under one policy."""

    patience: Patience
    failed: int = 0

    @contextmanager
    def attempt(self) -> Generator[None]:
        """Run a block; on a temporary failure wait and suppress the error, so that a loop can retry."""
        try:
            yield
            self.failed = 0
        except _client_errors() as error:
            self._wait(error)

    def _wait(self, error: Exception) -> None:
        if not _passes(error):
            raise _final(error) from None
        self.failed += 1
        if self.failed >= self.patience.tries:
            raise HubError(
                f"gave up after {self.failed} failures in a row, the last one: {one_line(error)}; uploaded files are "
                "kept: type the same command again to resume"
            ) from None
        seconds = min(self.patience.longest, self.patience.base * 2 ** (self.failed - 1))
        seconds = max(seconds * self.patience.chance.uniform(0.5, 1.0), _asked(error))
        warn(f"{one_line(error)}; retrying in {seconds:.1f} s")
        self.patience.sleep(seconds)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of a Hub client's error, or None without a response."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _client_errors() -> tuple[type[Exception], ...]:
    """Return the exception types of the Hub client.

    Its HTTP library changes with its version (requests, httpx, httpx2); that library's base error is the first base
    of its own. RuntimeError: hf_xet's failures, and a connection pool that another thread has closed.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (HfHubHTTPError.__bases__[0], OSError, ValueError, RuntimeError)


def _passes(error: Exception) -> bool:
    status = status_of(error)
    if status is not None:
        return status in _PASSING or status >= 500
    if isinstance(error, OSError):
        return error.filename is None and error.errno not in _LOCAL and not isinstance(error, PermissionError)
    # The client parses some answers before it looks at their status: a gateway's HTML page is no JSON.
    return isinstance(error, json.JSONDecodeError) or not isinstance(error, ValueError)


def _final(error: Exception) -> Exception:
    if isinstance(error, OSError) and status_of(error) is None and (error.filename or error.errno in _LOCAL):
        return WriteError(f"cannot read or write {error.filename or 'a file'}: {error.strerror}")
    reasons = {
        401: "the Hub does not accept the token: type `hf auth login`, or set HF_TOKEN",
        403: "no permission: expected a token that may write to this repo (`hf auth login`, HF_TOKEN), or --create-pr",
    }
    known = reasons.get(status_of(error) or 0)
    return HubError(f"{known} ({one_line(error)})" if known else f"the Hub refuses: {one_line(error)}")


def _asked(error: Exception) -> float:
    """Return the server's Retry-After in seconds, 0 if absent."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0
