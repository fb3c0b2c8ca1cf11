"""Parsing of untrusted JSON and TOML: any invalid text is a ValueError.

Python's parsers end in a RecursionError on deep nesting, and tomllib in a plain ValueError on long numbers.
"""

import json
import tomllib
from typing import Any


def parse_json(content: str | bytes) -> Any:
    """Parse JSON; raise ValueError for invalid or too deeply nested text."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; raise ValueError for invalid or too deeply nested text."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
