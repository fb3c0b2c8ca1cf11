"""Lists of models: a name and its arguments per line, read from a file or shipped in `benchmark/models/lists/`."""

import ast
import shlex
from argparse import ArgumentTypeError
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.models.registry import name_from_data
from d3s_dataset.errors import ModelError


@dataclass(frozen=True)
class Entry:
    """A model's specification: its name and its own arguments."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)


def read_list(name: str) -> list[Entry]:
    """Read a list of models.

    A line is a name, then any number of `key=value`; `#` starts a comment; quotes keep spaces together. A name from a
    file never refers to code or a folder.

    Args:
        name: of a shipped list, or the path of a file.

    Raises:
        ModelError: no such list, no model in it, a line that cannot be read, or a name that only a command line may
            have.
    """
    entries = []
    for number, line in enumerate(_text(name).splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                named = name_from_data(words[0], f"{name}, line {number},")
                entries.append(Entry(named, dict(map(argument, words[1:]))))
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


def _text(name: str) -> str:
    try:
        if name in shipped():
            return files("benchmark.models").joinpath("lists", f"{name}.txt").read_text(encoding="utf-8")
        return Path(name).read_text(encoding="utf-8")
    except OSError:
        raise ModelError(f"no list of models {name!r}: expected {', '.join(shipped())}, or a text file") from None
    except UnicodeDecodeError:
        raise ModelError(f"{name} is not a text file: expected one model per line") from None
