"""Optional packages: imported on use, or a one-line error that names the extra.

`pip install .` brings what reads, describes and checks a release. Everything else belongs to an extra (pyproject.toml)
and is imported inside functions, so that `--help` works without it; a command calls `require` before any work.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from d3s_dataset.errors import D3SError, MissingExtra, one_line

OURS = ("d3s_dataset", "generation", "benchmark")


def require(extra: str, *packages: str) -> None:
    """Raise MissingExtra for the first of some packages that is not installed. Imports none of them.

    Args:
        extra: the one that brings them.
        packages: names as they are imported.
    """
    for each in packages:
        if not _there(each):
            raise MissingExtra(each, extra)


def late(module: str, extra: str) -> ModuleType:
    """Import and return a module of an extra's package, or one of this project that imports such packages.

    Args:
        module: its dotted name.
        extra: the one that brings what it needs.

    Raises:
        MissingExtra: a package that it needs is not installed.
        D3SError: a package is installed, but cannot be imported.
        ModuleNotFoundError, ImportError: a module of ours is missing or broken, which is a bug.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        if package in OURS:
            raise
        if isinstance(error, ModuleNotFoundError) and not _there(package):
            raise MissingExtra(package, extra) from None
        raise D3SError(
            f"the package {package!r} is installed, but cannot be imported ({one_line(error)}): mend it, or in the "
            f"project's folder type pip install --force-reinstall '.[{extra}]'"
        ) from None


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # imported already, by hand and without a spec
        return True
