"""Modules that need the extra `verify`: imported when a command needs them, or a line that says what to install."""

from importlib import import_module
from types import ModuleType

from d3s_dataset.errors import MissingExtra


def late(module: str) -> ModuleType:
    """Import a module of ours.

    Raises:
        MissingExtra: a package that it needs is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "verify") from None
