"""Plug-in tables: name -> entry, built in or added by another package under an entry-point group (`d3s.metrics`, ...).

A package adds an entry in its own pyproject.toml::

    [project.entry-points."d3s.erasers"]
    mine = "my_package.erasers:mine"

Names are known without importing anything; an entry is imported when it is looked up.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from d3s_dataset.errors import D3SError, PluginError, one_line

T = TypeVar("T")


class PluginTable(Mapping[str, T], Generic[T]):
    """A read-only mapping of names to entries: those built in, in their order, then those of other packages, sorted.

    Args:
        group: the entry-point group of other packages.
        what: what an entry is, for errors, such as `eraser`.
        built_in: name -> entry, or where it is, as `package.module:name`.
        kind: the class of an entry; None: any function.
    """

    def __init__(
        self, group: str, what: str, built_in: Mapping[str, T] | Mapping[str, str], kind: type | None = None
    ) -> None:
        self.group, self.what = group, what
        self._built_in, self._kind = dict(built_in), kind
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """Return an entry, imported if it was not yet.

        Raises:
            KeyError: no such name.
            PluginError: the entry of another package that cannot be imported, or is not what it should be.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """Yield all names, those of other packages last."""
        yield from self._built_in
        yield from sorted(set(self._added) - set(self._built_in))

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        """Return whether there is an entry of a name; imports nothing."""
        return name in self._built_in or name in self._added

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        # Once: a look at all installed packages takes 10 ms, and a board looks up its metrics thousands of times.
        return {each.name: each for each in entry_points(group=self.group)}

    def _load(self, name: str) -> T:
        if name in self._built_in:  # another package cannot replace it
            entry = self._built_in[name]
            return cast(T, _attribute(entry) if isinstance(entry, str) else entry)
        added = self._added[name]
        called = f"the {self.what} {name!r} ({added.value})"
        try:
            entry = added.load()
        except D3SError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the module of another package raises when imported
            raise PluginError(f"{called} cannot be imported: {one_line(error)}") from None
        kind = self._kind
        if not (callable(entry) if kind is None else isinstance(entry, kind)):
            wanted = f"an instance of {kind.__module__}.{kind.__name__}" if kind else "a function"
            raise PluginError(f"{called}: expected {wanted}, got {type(entry).__name__}")
        return cast(T, entry)


def _attribute(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
