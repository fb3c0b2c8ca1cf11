"""Jinja environments of all HTML pages: autoescape on, an unknown name is a bug."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from d3s_dataset.utils.extras import late


def environment(folders: Sequence[Path], extra: str) -> Any:
    """Return a Jinja environment over folders of templates.

    Args:
        folders: searched in this order.
        extra: brings Jinja to the package that asks.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    jinja2 = late("jinja2", extra)
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
