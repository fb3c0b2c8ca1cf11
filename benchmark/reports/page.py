"""The page of a report with its figures and tables, from results with their predictions and results on features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.metrics.registry import METRICS
from benchmark.reports import (
    attribution,
    classes,
    differences,
    disentanglement,
    drops,
    error_gallery,
    factors,
    figures,
    headline,
    probe_text,
    pulls,
    sections,
)
from benchmark.reports.html import render
from benchmark.reports.inputs import Given, divide
from benchmark.reports.sections import Measured, Table
from benchmark.reports.text import metric, points
from d3s_dataset.schema import not_d3s


@dataclass(frozen=True, eq=False)
class Report:
    """Statistics of a report, computed once for its page, its tables and its figures.

    `about` are the results it is about; `drops` stand in their order; the rest is empty where there are no results.
    """

    given: Given
    about: Sequence[Measured]
    drops: Sequence[drops.Drop]
    differences: Sequence[differences.Difference]
    pulls: Sequence[pulls.Pulled]


def report_of(given: Given) -> Report:
    """Compute a report.

    Raises:
        ResultError: results on other releases or splits, a model twice, or a control set of no model among them.
    """
    about, controls = divide(given.measured)
    found = drops.drops(about, controls)
    return Report(given, about, found, differences.differences(about), pulls.pulls(about, found) if about else [])


def drawn(report: Report) -> dict[str, Any]:
    """Return the figures by name."""
    own = (
        sections.drawn(report.about)
        | factors.drawn(report.about)
        | drops.drawn(report.drops)
        | classes.drawn(report.about, report.drops)
    )
    return own | disentanglement.drawn(report.given)


def tables(report: Report) -> list[Table]:
    """Return the tables for a paper."""
    answer = [*sections.tables(report.about), *drops.tables(report.drops), *pulls.tables(report.about, report.pulls)]
    answer += [*factors.tables(report.about), *classes.tables(report.about)]
    if report.differences:
        answer.append(differences.table(report.differences))
        answer.append(differences.by_background(report.differences, sections.hardest_first(report.about)))
    if report.given.attributed:
        answer.append(attribution.table(report.given.attributed))
    return [*answer, *disentanglement.tables(report.given)]


def page(given: Given, dataset: str | None) -> bytes:
    """Return a report as HTML (`html`)."""
    report = report_of(given)
    return html(report, dataset, drawn(report))


def html(report: Report, dataset: str | None, made: dict[str, Any]) -> bytes:
    """Return a report as HTML.

    Args:
        report: its statistics.
        dataset: where the images lie, for pictures; None: it goes without.
        made: the figures by name.
    """
    about, facts = report.about, report.given.facts()
    found = [
        mistake
        for index, each in enumerate(about)
        for mistake in error_gallery.mistakes(index, each.predictions, facts.backgrounds)
    ]
    keys = [*(each.key for each in found), *(each.key for one in report.pulls for each in one.pictures)]
    keys += [each.key for _, one in report.given.attributed for each in attribution.pictures(one)]
    images = error_gallery.pictures(dataset, facts, keys) if dataset and about else {}
    return render(
        "report.html",
        report=report,
        facts=facts,
        warning=not_d3s(facts.kind, facts.config),
        about=about,
        given=report.given,
        contents=contents(report),
        sections=sections,
        headline=headline,
        drops=drops,
        differences=differences,
        pulls=pulls,
        classes=classes,
        factors=factors,
        features=disentanglement,
        attribution=attribution,
        probe_text=probe_text,
        points=points,
        METRICS=METRICS,
        metric=metric,
        figures={name: figures.svg(figure, name) for name, figure in made.items()},
        dataset=dataset,
        images=images,
        data={
            "backgrounds": facts.backgrounds,
            "models": [each.label for each in about],
            "classes": [classes.listed(each.metrics) for each in about],
            **error_gallery.listed(found, images),
        },
    )


def contents(report: Report) -> dict[str, str]:
    """Return the sections that the page has: anchor -> title, in order."""
    about, given = report.about, report.given
    every = {
        "errors": ("Errors of highest confidence", about),
        "drop": ("Drop: what the background alone costs", about),
        "backgrounds": ("Accuracy on each background", about),
        "factors": ("Size, place and severity", factors.there(about)),
        "pulls": ("What each background pulls answers to", about),
        "attribution": ("Where the models look", given.attributed),
        "models": ("Differences between the models", report.differences),
        "superclasses": ("Superclasses on each background", any(classes.superclasses(each.metrics) for each in about)),
        "classes": ("Classes", about),
        "photos": ("The same photo on different backgrounds", about),
        "calibration": ("Calibration: is it as sure as it is right?", about),
        "probes": ("Probes: foreground and background from features", given.probed),
        "correlation": ("Spurious-correlation benchmark", given.correlations),
        "sweep": ("Leakage against accuracy over lambda", given.sweeps),
        "method": ("How it was measured", about),
    }
    return {anchor: title for anchor, (title, there) in every.items() if there}
