"""Pages: one self-contained HTML file from a template, everything in it escaped. Nothing is fetched from elsewhere."""

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
    made.filters |= {"percent": percent, "points": points, "ratio": ratio, "between": between}
    return made
