"""One page that shows where models fail: `python -m benchmark.report RESULT [RESULT ...] --out report.html`.

Everything is computed from results and the predictions next to them, and from what `benchmark.probe`, `correlate` and
`sweep` wrote; the page loads nothing from elsewhere. Next to it are the same tables as Markdown and CSV, and the
figures as PNG. Percent appear here and in `tables` only.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark.reports import figures, sections
from benchmark.reports.inputs import read
from benchmark.reports.page import drawn, html, report_of, tables
from benchmark.reports.text import describe
from benchmark.schemas import result
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, run_command, say
from d3s_dataset.utils.extras import require


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "results/RESULT.json --dataset demo/d3s --out report.html",
        "results/*.json --out report.html",
    )
    about_page = "A self-contained HTML report on where models fail."
    answer = Parser("python -m benchmark.report", description=about_page, examples=examples)
    about = "JSON of benchmark.run, with its predictions next to it; several models on the same images side by side; "
    about += "control sets add the drop; JSON of benchmark.probe, benchmark.correlate and benchmark.sweep, in any order"
    answer.add_argument("results", type=Path, nargs="+", metavar="RESULT", help=about)
    answer.add_argument(
        "--dataset",
        metavar="DIR_OR_REPO",
        help="the release, for pictures of errors and of what backgrounds pull answers to",
    )
    answer.add_argument(
        "--out",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="the page; tables and figures go next to it",
    )
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page, its tables and its figures."""
    made = parser()
    args = made.parse_args(argv)
    require("score", "scipy", "jinja2", "matplotlib")
    given = read(args.results)
    if not given.measured:
        made.refuse_typed("gives pictures to results of benchmark.run, and none is among these files", "--dataset")
    say(describe(given.facts()))
    report = report_of(given)
    figures_ = drawn(report)
    result.make_folder(args.out.parent)
    write_atomic(args.out, html(report, args.dataset, figures_))
    for ending, content in sections.files(tables(report)).items():
        write_atomic(args.out.with_name(args.out.stem + ending), content)
    for name, figure in figures_.items():
        figures.save(figure, args.out.with_name(f"{args.out.stem}-{name}.png"))
    say(f"report {args.out}; next to it {args.out.stem}.md, -*.csv, -*.png")


if __name__ == "__main__":
    run_command(main)
