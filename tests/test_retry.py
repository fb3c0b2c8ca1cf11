import errno
import json
import random
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import HfHubHTTPError

from d3s_dataset.errors import HubError, WriteError
from d3s_dataset.hub.retry import Patience

DROPPED = HfHubHTTPError.__mro__[1]  # the base error of the client's HTTP library


class Answer(OSError):
    """An error of the client's that carries an answer."""

    def __init__(self, status, **headers):
        super().__init__(f"{status} from the Hub")
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = SimpleNamespace(status_code=status, headers=names)


def failing(*errors):
    """Return a call that fails with each error in turn and then returns 'done'."""
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return "done"

    return call


@pytest.fixture
def waits():
    return []


@pytest.fixture
def patience(waits):
    return Patience(tries=4, base=1.0, longest=3.0, sleep=waits.append, chance=random.Random(1))


@pytest.mark.parametrize("status", [408, 409, 412, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(patience, waits, status, capsys):
    assert patience.call(failing(Answer(status))) == "done"
    assert len(waits) == 1
    assert f"warning: {status} from the Hub; retrying in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [DROPPED("closed"), ConnectionResetError("reset"), RuntimeError("client closed"), json.JSONDecodeError("", "", 0)],
)
def test_a_dropped_connection_is_tried_again(patience, waits, error):
    assert patience.call(failing(error)) == "done"
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Answer(400), HubError),
        (Answer(401), HubError),
        (Answer(403), HubError),
        (Answer(404), HubError),
        (ValueError("quota"), HubError),
        (PermissionError("xet"), HubError),
        (FileNotFoundError(errno.ENOENT, "gone", "shard"), WriteError),
        (OSError(errno.ENOSPC, "no space left"), WriteError),
    ],
)
def test_what_stays_is_not(patience, waits, error, kind):
    with pytest.raises(kind):
        patience.call(failing(error))
    assert waits == []


def test_a_bug_is_left_alone(patience):
    with pytest.raises(KeyError):
        patience.call(failing(KeyError("url")))


def test_waits_grow_with_jitter_up_to_a_bound(patience, waits):
    with pytest.raises(HubError, match=r"gave up after 4 failures in a row.*type the same command again"):
        patience.call(failing(*[Answer(500)] * 9))
    assert [low <= wait <= high for wait, low, high in zip(waits, (0.5, 1, 1.5), (1, 2, 3), strict=True)] == [True] * 3
    assert all(wait != round(wait) for wait in waits)


def test_the_server_says_how_long(patience, waits):
    patience.call(failing(Answer(429, Retry_After="17"), Answer(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")))
    assert waits[0] == 17
    assert waits[1] <= 3
