"""Pages: one self-contained HTML file from a template, everything in it escaped. Nothing is fetched from elsewhere."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.reports.text import between, percent, points, ratio
from d3s_dataset.utils import pages


def render(template: str, **values: Any) -> bytes:
    """Return a template of `benchmark/reports/templates`, filled, as UTF-8.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    return environment().get_template(template).render(**values).encode()


@cache
def environment() -> Any:
    """Return the Jinja environment of reports and boards: that of all pages, with `text` as filters."""
    made = pages.environment([Path(__file__).parent / "templates"], "score")
    made.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":"), "allow_nan": False}
    made.filters |= {
        "percent": percent,
        "points": points,
        "ratio": ratio,
        "between": between,
        "breakable": breakable,
        "glue": glue,
    }
    return made


def breakable(name: str) -> Any:
    """Return a name, escaped, that a line may break after an underscore, slash or colon of."""
    from markupsafe import Markup, escape

    return Markup(re.sub("([_/:])", r"\1<wbr>", str(escape(name))))


def glue(text: str) -> str:
    """Return a sentence whose percent signs stay on the line of their numbers."""
    return text.replace(" %", "\u00a0%")
