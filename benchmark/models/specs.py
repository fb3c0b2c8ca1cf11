"""Lists of models: a name, its weights and its arguments per line, read from a file or shipped in
`benchmark/models/lists/`.
"""

import ast
import shlex
from argparse import ArgumentTypeError
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.models.registry import name_from_data
from d3s_dataset.errors import ModelError

CHECKPOINT = "checkpoint"  # the key of a line that names a file of weights; no model has an argument of that name


@dataclass(frozen=True)
class Entry:
    """A model's specification: its name, its own arguments, and its file of weights (None: the pretrained ones)."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None


def read_list(name: str) -> list[Entry]:
    """Read a list of models.

    A line is a name, then any number of `key=value`; `#` starts a comment; quotes keep spaces together.
    `checkpoint=FILE` is the model's file of weights, relative to the list's folder; any other key is an argument of
    the model. A name from a file never refers to code or a folder, and a file of weights is never unpickled as code.

    Args:
        name: of a shipped list, or the path of a file.

    Raises:
        ModelError: no such list, no model in it, a line that cannot be read, a name that only a command line may have,
            or a checkpoint that is not there.
    """
    entries = []
    for number, line in enumerate(_text(name).splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                entries.append(_entry(words, Path(name).parent, f"{name}, line {number},"))
        except (ValueError, ArgumentTypeError) as error:
            raise ModelError(f"{name}, line {number}: {error}") from None
    if not entries:
        raise ModelError(f"{name} names no model: expected one model per line")
    return entries


def shipped() -> list[str]:
    """Return the names of the lists that come with the package."""
    return sorted(Path(each.name).stem for each in files("benchmark.models").joinpath("lists").iterdir())


def argument(text: str) -> tuple[str, Any]:
    """Parse `key=value` (an argparse type); a value that is no Python literal stays text.

    Raises:
        ArgumentTypeError: no `=`, or a key that is no identifier.
    """
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _entry(words: list[str], folder: Path, where: str) -> Entry:
    """Return the model of one line.

    Raises:
        ModelError: a name that only a command line may have, or no such checkpoint.
        ArgumentTypeError: a word that is no `key=value`, or a key given twice.
    """
    name, *rest = words
    name = name_from_data(name, where)
    keys = [word.partition("=")[0] for word in rest]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ArgumentTypeError(f"{twice[0]} is given twice")
    # As text, before `argument` reads a file called 1 as a number.
    named = [word.partition("=")[2] for word in rest if word.startswith(f"{CHECKPOINT}=")]
    checkpoint = folder / named[0] if named else None
    if checkpoint and not checkpoint.is_file():
        raise ModelError(f"{where} names the weights {named[0]!r}: no file at {checkpoint}")
    kwargs = dict(argument(word) for word in rest if not word.startswith(f"{CHECKPOINT}="))
    return Entry(name, kwargs, checkpoint)


def _text(name: str) -> str:
    try:
        if name in shipped():
            return files("benchmark.models").joinpath("lists", f"{name}.txt").read_text(encoding="utf-8")
        return Path(name).read_text(encoding="utf-8")
    except OSError:
        raise ModelError(f"no list of models {name!r}: expected {', '.join(shipped())}, or a text file") from None
    except UnicodeDecodeError:
        raise ModelError(f"{name} is not a text file: expected one model per line") from None
