"""Fast detection of an unreachable Hub: seconds instead of a minute of retries."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager

_PROBE_SECONDS = 4  # timeout after which only the local cache is used


@contextmanager
def cache_only_where_unreachable() -> Generator[None]:
    """Restrict huggingface_hub to its cache if its endpoint does not respond: it would retry for 47 s."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = not reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def reachable() -> bool:
    """Return whether huggingface_hub may ask its endpoint, and the endpoint responds."""
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and answers(constants.ENDPOINT)


def unreachable(what: str, pass_instead: str) -> str:
    """Return the error message for something that is neither cached locally nor downloadable."""
    from huggingface_hub import constants

    return (
        f"{what} are not cached locally and {constants.ENDPOINT} cannot be reached: pass {pass_instead}, set "
        "HF_ENDPOINT to a mirror, or run once with network access"
    )


def answers(endpoint: str) -> bool:
    """Return whether a URL responds, with a timeout of seconds rather than the client's minute."""
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
