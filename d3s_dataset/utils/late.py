"""Public names of a package that are imported on first use, so that importing the package costs nothing."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def late_names(package: str, places: Mapping[str, str]) -> list[str]:
    """Give a package names that are imported when they are first used, and return them sorted, for `__all__`.

    A name wins over a submodule of the same name: `benchmark.score` is the function, `benchmark/score.py` the command
    (`python -m benchmark.score`, `from benchmark.score import main`). The import system would put the module in the
    function's place as soon as anything imports it.

    Args:
        package: its `__name__`.
        places: public name -> module that defines it.
    """

    class Package(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name not in places:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            return getattr(import_module(places[name]), name)

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in places or not isinstance(value, ModuleType):
                super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return sorted({*places, *(name for name in super().__dir__() if name.startswith("__"))})

    sys.modules[package].__class__ = Package
    return sorted(places)
