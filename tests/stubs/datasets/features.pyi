"""Types of columns."""

from collections.abc import Mapping
from typing import Any, Self

class Image:
    def __init__(self, mode: str | None = None, decode: bool = True) -> None: ...

class Value:
    def __init__(self, dtype: str) -> None: ...

class ClassLabel:
    num_classes: int
    names: list[str]
    def int2str(self, values: int) -> str: ...
    def str2int(self, values: str) -> int: ...

class Features(dict[str, Any]):
    @classmethod
    def from_dict(cls, dic: Mapping[str, Any]) -> Self: ...
