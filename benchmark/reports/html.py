"""Pages: one self-contained HTML file from a template, everything in it escaped. Nothing is fetched from elsewhere."""

from functools import cache
from typing import Any

from benchmark.reports.text import between, percent, points, ratio
from d3s_dataset.utils.extras import late


def render(template: str, **values: Any) -> bytes:
    """Return a template of `benchmark/reports/templates`, filled, as UTF-8.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    return environment().get_template(template).render(**values).encode()


@cache
def environment() -> Any:
    """Return the Jinja environment: autoescape on, a name that was not passed is a bug."""
    jinja2 = late("jinja2", "score")
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("benchmark.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":"), "allow_nan": False}
    made.filters |= {"percent": percent, "points": points, "ratio": ratio, "between": between}
    return made
