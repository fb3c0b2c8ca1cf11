"""Every error a user can cause, as one tree.

::

    D3SError                 the message contains what was expected, what was found, and what to type
    ├── DatasetNotFound      no release under that name, folder or repo
    ├── ReleaseError         a release that is unfinished, damaged, or not the expected one
    ├── RecipeError          a recipe with an unknown key or a value out of range
    ├── SourceError          a folder or dataset of photos that cannot be used
    │   └── PhotoError       a single photo that cannot be read: a failed row, not the end of a run
    ├── ModelError           a model that is unknown, unreachable or of another shape
    │   └── CheckpointError  a weights file that is missing, unsafe, or of another architecture
    ├── GenerationError      a run that cannot continue: workers or a cluster were lost, or it was stopped
    │   └── Interrupted      SIGTERM or Ctrl-C: finished images are kept
    ├── VerifyError          tasks, votes or verdicts of human verification that cannot be used
    ├── WriteError           a file or folder that cannot be written
    ├── HubError             a Hub repo that cannot be written, or a Hub that cannot be reached or keeps failing
    ├── EraserError          features or labels that an eraser cannot be fitted to, or cannot be applied to
    ├── ResultError          predictions or results with invalid content
    ├── PluginError          an entry that another package adds to a plug-in table and that cannot be used
    └── MissingExtra         a package that only one command needs is not installed

Commands turn a `D3SError` into one line and exit code 1 (`d3s_dataset.utils.cli`); anything else is a bug and
keeps its traceback.
"""

import os
import re
import sys
from collections.abc import Sequence

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")  # `hf_` and 34 letters today
_SHORTEST = 4  # characters: the Hub's have 37, and a shorter text would stand in ordinary words


class D3SError(Exception):
    """Base of all errors that a user can cause and fix."""


class DatasetNotFound(D3SError):
    """No release under the given name, folder or repo."""


class ReleaseError(D3SError):
    """A release that is unfinished, damaged, or not the expected one."""


class RecipeError(D3SError):
    """A recipe with an unknown key, a missing key or a value out of range."""


class SourceError(D3SError):
    """A folder or dataset of photos that cannot be used."""


class PhotoError(SourceError):
    """One photo that cannot be read; the run continues and lists its row as failed."""


class ModelError(D3SError):
    """A model that is unknown, whose weights are not available, or whose shape does not fit."""


class CheckpointError(ModelError):
    """A weights file that is missing, not safe to open, or made for another architecture."""


class GenerationError(D3SError):
    """A run that cannot continue; the same command resumes it."""


class Interrupted(GenerationError):
    """A run that was stopped; finished images are kept."""


class VerifyError(D3SError):
    """Tasks, votes or verdicts of human verification that cannot be used, or do not belong together."""


class WriteError(D3SError):
    """A file or folder that cannot be written: no permission, no space, something in the way."""


class HubError(D3SError):
    """A Hub repo that cannot be written or holds something else, or a Hub that cannot be reached or keeps failing."""


class ResultError(D3SError):
    """Predictions or a result file with invalid content."""


class EraserError(D3SError):
    """Features or labels that an eraser cannot be fitted to, or features that a fitted one cannot be applied to."""


class PluginError(D3SError):
    """An entry that another package adds to a plug-in table, and that cannot be imported or is of another kind."""


class MissingExtra(D3SError):
    """A package that only one command needs is not installed."""

    def __init__(self, package: str, extra: str, instead: str = "") -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed: in the project's folder type "
            f"pip install '.[{extra}]'{instead}"
        )
        self._given = package, extra, instead

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return MissingExtra, self._given  # it may come out of another process


def shortened(text: str, most: int = 80) -> str:
    """Return text truncated to at most `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def did_you_mean(near: Sequence[str]) -> str:
    """Return the end of an error that offers near matches of a name; empty without any."""
    return f"; did you mean {', '.join(near)}?" if near else ""


def one_line(error: BaseException) -> str:
    """Return an error's message without a Hub token, on one line of at most 300 characters; its type if empty."""
    return redacted(" ".join(str(error).split()))[:300] or type(error).__name__


def redacted(text: str) -> str:
    """Return a text without this machine's Hub token, or anything that looks like one."""
    client = sys.modules.get("huggingface_hub")  # where it was not imported it has sent no token
    for token in {client.get_token() if client else None, os.environ.get("HF_TOKEN")}:
        if token and len(token) >= _SHORTEST:
            text = text.replace(token, "<token>")
    return _TOKEN.sub("<token>", text)
