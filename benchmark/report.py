"""One page that shows where models fail: `python -m benchmark.report RESULT [RESULT ...] --out report.html`.

Everything is computed from results and the predictions beside them; the page asks for nothing from elsewhere. Beside it
lie the same tables as Markdown and CSV, and the figures as PNG. Percent appear here and in `tables` only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import figures, gallery, results, sections
from benchmark import predictions as predictions_
from benchmark.page import render
from benchmark.paired import CHAIN, chain
from benchmark.scores import Change
from benchmark.sections import Measured
from benchmark.tables import points
from d3s_dataset.atomic import write_atomic
from d3s_dataset.command import Parser, run_command, say
from d3s_dataset.errors import ResultError


def read(paths: Sequence[Path]) -> list[Measured]:
    """Read results and the predictions beside them.

    Raises:
        ResultError: a file is missing or cannot be read, or two results are of one model on the same images.
    """
    found = {path: results.read(path) for path in paths}
    named = [each.model.tag or each.model.name for each in found.values()]
    answer = []
    for path, result in found.items():
        beside = path.with_suffix(".parquet")
        if not beside.is_file():
            raise ResultError(f"no predictions at {beside}: a report needs them beside {path}, as benchmark.run leaves")
        label = result.model.tag or result.model.name
        others = {each.model.digest for each in found.values() if (each.model.tag or each.model.name) == label}
        label += f" ({result.model.digest[:8]})" * (named.count(label) > 1 and len(others) > 1)
        answer.append(Measured(label, result, predictions_.read(beside)))
    return answer


def divide(measured: Sequence[Measured]) -> tuple[list[Measured], list[Measured]]:
    """Return the results on the images that the report is about, and those on control sets.

    The report is about `default` where a result is on it, else about the first result's config.

    Raises:
        ResultError: results on other releases or splits, or a model twice.
    """
    configs = [each.result.dataset.config for each in measured]
    config = "default" if "default" in configs else configs[0]
    about = [each for each in measured if each.result.dataset.config == config]
    facts = about[0].result.dataset
    for each in about:
        other = each.result.dataset
        if (other.digest, other.split) != (facts.digest, facts.split):
            raise ResultError(
                f"expected results on the same images: {about[0].label} has {facts.name}, {facts.split} (digest "
                f"{facts.digest[:8]}), {each.label} has {other.name}, {other.split} (digest {other.digest[:8]})"
            )
    labels = [each.label for each in about]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise ResultError(f"expected each model once, got {twice} twice on config {config}")
    return about, [each for each in measured if each not in about]


def drops(about: Sequence[Measured], controls: Sequence[Measured]) -> dict[str, dict[str, dict[str, Change]]]:
    """Return model -> step -> background -> change, for models that were also measured on control sets."""
    answer = {}
    for each in about:
        same = [other for other in controls if other.result.model.digest == each.result.model.digest]
        tables = {other.result.dataset.config: other.predictions for other in [each, *same]}
        if any({before, after} <= set(tables) for _, before, after in CHAIN):
            answer[each.label] = chain(tables, each.result.dataset.backgrounds)
    return answer


def page(measured: Sequence[Measured], dataset: str | None, made: dict[str, Any] | None = None) -> bytes:
    """Return the report as HTML.

    Args:
        measured: results with their predictions.
        dataset: where the images lie, for the gallery; None: it goes without pictures.
        made: the figures, if they are drawn already.
    """
    about, controls = divide(measured)
    facts = about[0].result.dataset
    found = [
        mistake
        for index, each in enumerate(about)
        for mistake in gallery.mistakes(index, each.predictions, facts.backgrounds)
    ]
    images = gallery.pictures(dataset, facts, [each.key for each in found]) if dataset else {}
    return render(
        "report.html",
        facts=facts,
        about=about,
        headings=sections.HEADINGS,
        headline=sections.headline(about),
        by_background=sections.by_background(about),
        drops=drops(about, controls),
        points=points,
        figures={
            name: figures.svg(figure, name)
            for name, figure in (made or sections.drawn(about)).items()
            if not name.startswith("classes")
        },
        doubts=sections.doubts(about),
        pictured=dataset is not None,
        data={
            "backgrounds": facts.backgrounds,
            "models": [each.label for each in about],
            "classes": [sections.classes(each.metrics) for each in about],
            **gallery.told(found, images),
        },
    )


def parser() -> Parser:
    """Return the command's parser."""
    answer = Parser(prog="python -m benchmark.report", description="One page that shows where models fail.")
    about = "JSON that benchmark.run wrote, its predictions beside it; several models on the same images side by side; "
    answer.add_argument("results", type=Path, nargs="+", metavar="RESULT", help=f"{about}control sets add the drop")
    answer.add_argument("--dataset", metavar="DIR_OR_REPO", help="the release, for pictures in the gallery of errors")
    answer.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="the page; rest beside")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page, its tables and its figures."""
    args = parser().parse_args(argv)
    measured = read(args.results)
    about, _ = divide(measured)
    made = sections.drawn(about)
    results.make_folder(args.out.parent)
    write_atomic(args.out, page(measured, args.dataset, made))
    for ending, content in sections.tables(about).items():
        write_atomic(args.out.with_name(args.out.stem + ending), content)
    for name, figure in made.items():
        figures.save(figure, args.out.with_name(f"{args.out.stem}-{name}.png"))
    say(f"report {args.out}; beside it {args.out.stem}.md, -*.csv, -*.png")


if __name__ == "__main__":
    run_command(main)
