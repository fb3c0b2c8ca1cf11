"""The page of a report, from results and their predictions, and from results on features."""

from collections.abc import Sequence
from typing import Any

from benchmark.metrics.paired import chain, steps_of
from benchmark.metrics.registry import METRICS
from benchmark.reports import disentanglement, error_gallery, figures, probe_text, sections
from benchmark.reports.html import render
from benchmark.reports.inputs import Given, divide
from benchmark.reports.sections import Measured
from benchmark.reports.text import metric, points
from benchmark.schemas.identity import check_chain, model_identity
from benchmark.schemas.metrics import Change
from d3s_dataset.errors import ResultError
from d3s_dataset.schema import not_d3s


def drops(about: Sequence[Measured], controls: Sequence[Measured]) -> dict[str, dict[str, dict[str, Change]]]:
    """Return model -> step -> background -> change, for models that were also measured on control sets.

    Raises:
        ResultError: a result on a control set that is of no model in `about`, or of another split or release.
    """
    answer = {}
    models = [model_identity(each.result.model) for each in about]
    for other in controls:
        if model_identity(other.result.model) not in models:
            raise ResultError(
                f"{_called(other)}: expected the result of the same run of the "
                f"model (weights, arguments, precision) on config {about[0].result.dataset.config} too"
            )
    for model, each in zip(models, about, strict=True):
        parts = [each, *(other for other in controls if model_identity(other.result.model) == model)]
        if len(parts) > 1:
            check_chain([(_called(part), part.result.model, part.result.dataset) for part in parts])
        tables = {part.result.dataset.config: part.predictions for part in parts}
        facts = each.result.dataset
        if steps_of(tables, facts.kind):
            answer[each.label] = chain(tables, facts.backgrounds, facts.kind)
    return answer


def _called(part: Measured) -> str:
    return f"{part.label} on config {part.result.dataset.config}"


def page(given: Given, dataset: str | None, made: dict[str, Any] | None = None) -> bytes:
    """Return the report as HTML.

    Args:
        given: results with their predictions, and what was read from features.
        dataset: where the images lie, for the gallery; None: it goes without pictures.
        made: the figures, if they are drawn already.
    """
    about, controls = divide(given.measured)
    facts = given.facts()
    found = [
        mistake
        for index, each in enumerate(about)
        for mistake in error_gallery.mistakes(index, each.predictions, facts.backgrounds)
    ]
    images = error_gallery.pictures(dataset, facts, [each.key for each in found]) if dataset and about else {}
    return render(
        "report.html",
        facts=facts,
        warning=not_d3s(facts.kind, facts.config),
        about=about,
        given=given,
        sections=sections,
        features=disentanglement,
        probe_text=probe_text,
        drops=drops(about, controls),
        points=points,
        METRICS=METRICS,
        metric=metric,
        figures={
            name: figures.svg(figure, name)
            for name, figure in (drawn(given) if made is None else made).items()
            if not name.startswith("classes")
        },
        pictured=dataset is not None,
        data={
            "backgrounds": facts.backgrounds,
            "models": [each.label for each in about],
            "classes": [sections.classes(each.metrics) for each in about],
            **error_gallery.told(found, images),
        },
    )


def drawn(given: Given) -> dict[str, Any]:
    """Return the figures by name."""
    return sections.drawn(divide(given.measured)[0]) | disentanglement.drawn(given)
