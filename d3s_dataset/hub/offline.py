"""The Hub where it cannot be reached: seconds in place of a minute of retries."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

_PROBE_SECONDS = 4  # how long the Hub may take to answer before only the local cache is asked


@contextmanager
def cache_only_where_unreachable() -> Iterator[None]:
    """Let huggingface_hub look into its cache only, if its endpoint does not answer: it would retry for 47 s."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not answers(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def unreachable(what: str, pass_instead: str) -> str:
    """Return the line for something that is neither here nor to be had, and what to type in its place."""
    from huggingface_hub import constants

    return (
        f"{what} are not on this machine and {constants.ENDPOINT} cannot be reached: pass {pass_instead}, set "
        "HF_ENDPOINT to a mirror, or run once where there is a network"
    )


def answers(endpoint: str) -> bool:
    """Return whether anything answers at an address, in seconds rather than the client's minute."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        # This client's certificates may be fewer than the Hub client's own.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):  # ValueError: no address at all
        return False
    return True
