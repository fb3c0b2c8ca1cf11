"""Versions of the files that other tools may rely on: older ones are read, newer ones are refused in one line.

A file has its `schema_version`. A change of a field raises the `VERSION` of its class and
adds to its `UPGRADES` a function from the fields of the version before. A field that is added with a default is no
reason for an upgrade that does anything, but for a new version: older readers refuse unknown fields.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from pydantic import model_validator

from benchmark.schemas.metrics import Strict

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class Versioned(Strict):
    """A value of a file with a schema version.

    Attributes:
        VERSION: that is written, and the newest that is read.
        UPGRADES: version -> function from its fields to those of the next; every version before `VERSION` has one.
    """

    VERSION: ClassVar[int] = 1
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {}

    schema_version: int = 1  # always that of `VERSION`

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        given = cast(dict[str, Any], fields)
        version = given.get("schema_version", cls.VERSION)  # none: a value made here
        return {**upgraded(given, version, cls.VERSION, cls.UPGRADES), "schema_version": cls.VERSION}


def upgraded(fields: dict[str, Any], version: Any, newest: int, upgrades: Mapping[int, Upgrade]) -> dict[str, Any]:
    """Return the fields of the newest version.

    Args:
        fields: as read.
        version: of them.
        newest: the version to reach.
        upgrades: version -> function to the next.

    Raises:
        ValueError: no version, or a newer one.
    """
    check(version, newest)
    for each in range(version, newest):
        fields = upgrades[each](fields)
    return fields


def check(version: Any, newest: int) -> None:
    """Raise ValueError unless a version is a whole number from 1 to the newest that is read."""
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"schema_version: expected a whole number from 1 to {newest}, got {version!r}")
    if version > newest:
        raise ValueError(f"schema_version {version} is newer than {newest}, the newest that is read: update d3s")
