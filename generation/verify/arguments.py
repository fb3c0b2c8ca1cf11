"""Arguments of `python -m generation.verify` and its subcommands."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from d3s_dataset.utils.cli import Parser, natural
from generation.verify.aggregate.consensus import METHODS
from generation.verify.aggregate.rules import RULES
from generation.verify.crowds.base import CROWDS, exporting
from generation.verify.prepare.rounds import probability, rounds

PAY = 1.0  # per task, where no pay is given


def _positive(text: str) -> float:
    """Parse a number of at least zero (an argparse type)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return value


def _whole(text: str) -> int:
    """Parse a whole number of at least zero (an argparse type)."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


class _Commands(Parser):
    """A parser whose help includes the help of its subcommands."""

    def format_help(self) -> str:
        """Return the help of the command and its subcommands."""
        below = self._subparsers._group_actions[0].choices if self._subparsers else {}  # pyright: ignore[reportAttributeAccessIssue]
        return "\n".join([super().format_help(), *(each.format_help() for each in dict(below or {}).values())])


_EXAMPLES = {
    "prepare": (
        "demo/d3s --out tasks",
        "org/d3s --out tasks --images 2000 --annotators 3",
        "org/d3s --out tasks --rounds 3+2 --rule majority",
    ),
    "serve": (
        "tasks --people ada grace",
        "tasks --completion-code C1234 --host 0.0.0.0 --url https://verify.example.org",
        "tasks --completion-code C1234 --port 8001 --database postgresql://d3s@db.example.org/votes",
    ),
    "export": (
        "tasks --to csv --out votes",
        "tasks --to csv --anonymous --out votes",
        "tasks --to mturk --out mturk --images-url https://example.org/images",
    ),
    "import": ("tasks Batch_results.csv", "tasks labelstudio.json votes.csv"),
    "aggregate": (
        "tasks",
        "tasks --rule majority --least 5",
        "--votes votes.csv --out labels.csv --method dawid-skene",
    ),
    "audit": ("org/d3s --images 1000", "org/d3s tasks"),
    "apply": ("demo/d3s tasks --out verified", "org/d3s tasks --out verified"),
    "exclude": ("tasks anna --reason 'answered without looking'", "tasks anna --undo"),
    "forget": ("tasks anna", "tasks 9f2c4b1d0a3e5f67 --with-votes"),
}


def parser(runs: Mapping[str, Callable[[argparse.Namespace], None]]) -> Parser:
    """Return the command's parser; `run` of what it parses is the function of the subcommand.

    Args:
        runs: subcommand -> function that runs it.
    """
    parser = _Commands("python -m generation.verify", description="Human verification of a release.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    for name, (about, description, arguments) in _SUBCOMMANDS.items():
        given = {"help": about, "description": description, "examples": _EXAMPLES[name], "tables": name == "audit"}
        made = commands.add_parser(name, **given)
        made.set_defaults(run=runs[name])
        arguments(made)
    return parser


def _add_apply(parser: Parser) -> None:
    parser.add_argument("release", help="release that the tasks were made from (read-only)")
    parser.add_argument("tasks", type=Path, help="tasks folder, after aggregate")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new release")
    _add_database(parser)


def _add_exclude(parser: Parser) -> None:
    _add_annotator(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, recorded with the time; write no names")
    parser.add_argument("--undo", action="store_true", help="count the votes again; the exclusion stays on record")


def _add_forget(parser: Parser) -> None:
    _add_annotator(parser)
    parser.add_argument("--with-votes", action="store_true", help="remove the votes as well")


def _add_annotator(parser: Parser) -> None:
    parser.add_argument("tasks", type=Path, help="tasks folder")
    parser.add_argument("worker", help="id, pseudonym of the report, or a colleague's name")
    _add_database(parser)


def _add_database(parser: argparse.ArgumentParser) -> None:
    about = "PostgreSQL database of the votes, postgresql://USER@HOST/DATABASE (default: votes.sqlite in the folder)"
    parser.add_argument("--database", metavar="URL", help=about)


def _add_prepare(parser: Parser) -> None:
    add = parser.add_argument
    add("release", help="folder or Hub repo such as org/d3s (read-only)")
    add("--out", type=Path, required=True, help="new folder for the tasks")
    add("--images", type=natural, help="number of images, sampled at random (default: all of validation)")
    add("--per-task", type=natural, default=25, help="images per task")
    add("--gold", type=_whole, default=3, help="gold (attention-check) questions per task, in addition")
    add("--annotators", type=natural, help="annotators per image (default: 5, or the sum of --rounds)")
    add("--rounds", type=rounds, metavar="N+N", help="annotators per round, such as 3+2: images that are decided stop")
    add("--rule", choices=RULES, default="full", help="decision rule, which the rounds stop for; aggregate's default")
    add("--least", type=natural, default=3, help="minimum votes per image")
    add("--ties", choices=("yes", "no"), help="majority: answer that wins a tie; by default ties have no verdict")
    add("--posterior", type=probability, default=0.99, help="dawid-skene: probability at which an image stops")
    add("--seed", type=_whole, default=0, help="random seed of the sample")
    add("--examples", metavar="DIR", help="example photos in ImageNet's layout (default: cropped from the guides)")
    add("--pay", type=_positive, help=f"payment per task, recorded for the monitor; else the estimate takes {PAY:g}")
    add("--fee", type=_positive, default=20.0, help="platform fee in percent, for the cost estimate")
    add("--seconds", type=natural, default=8, help="seconds per image, for the time estimate")
    parser.only_with("--rule majority", "--ties")
    parser.only_with("--rule dawid-skene", "--posterior")
    parser.only_with("--rounds", "--posterior")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tasks", type=Path, help="tasks folder written by prepare; votes are stored in it")
    add(
        "--people",
        nargs="+",
        default=[],
        metavar="NAME",
        help="colleagues: anna or 'anna=Anna Müller'; prints links",
    )
    add("--completion-code", metavar="CODE", help="Prolific completion code; prints the study URL")
    add("--mturk", action="store_true", help="print the ExternalQuestion for Mechanical Turk")
    add("--host", default="127.0.0.1", help="address to bind")
    add("--port", type=_whole, default=8000, help="port to bind; 0 for any free port")
    add("--url", help="public URL, such as https://verify.example.org, where it differs")
    add("--connections-per-address", type=natural, default=100, help="per client address (a TLS proxy counts as one)")
    add("--open-per-address", type=natural, default=10, help="open tasks per client address, for crowd workers")
    add("--floor", type=_positive, default=1.0, help="minimum seconds per image; faster tasks are held for review")
    add("--days", type=_positive, default=14.0, help="days until links expire")
    add("--consent", type=Path, metavar="FILE", help="text (.txt or .md) that annotators agree to before they begin")
    add("--minimum-age", type=natural, metavar="YEARS", help="age that crowd workers confirm before they begin")
    _add_database(parser)


def _add_export(out: Parser) -> None:
    out.add_argument("tasks", type=Path, help="tasks folder")
    out.add_argument("--to", choices=exporting(), required=True, help="target format; csv: the votes, with worker ids")
    out.add_argument("--out", type=Path, required=True, help="output folder")
    out.add_argument("--images-url", metavar="URL", help="public URL of the uploaded folder images/")
    out.add_argument("--anonymous", action="store_true", help="csv: pseudonyms in place of worker ids, to publish")
    out.only_with("--to csv", "--anonymous")
    _add_database(out)
    for name in exporting():
        if not CROWDS[name].pictures:
            out.never_with(f"--to {name}", "--images-url")


def _add_import(back: Parser) -> None:
    back.add_argument("tasks", type=Path, help="tasks folder")
    back.add_argument(
        "files",
        type=Path,
        nargs="+",
        help="results of Mechanical Turk, Prolific, Label Studio or Ground Truth, or votes as CSV",
    )
    _add_database(back)


def _add_aggregate(parser: Parser) -> None:
    add, rules = parser.add_argument, ", ".join(RULES)
    add("tasks", type=Path, nargs="?", help="tasks folder")
    add("--rule", choices=RULES, help=f"decision rule: {rules} (default: as prepare recorded it)")
    add("--least", type=natural, help="minimum votes per image (default: as prepare recorded it)")
    add("--ties", help="majority: label that wins a tie (yes or no for tasks); by default ties have no verdict")
    add("--min-gold", type=_positive, default=0.7, help="exclude annotators below this accuracy on gold questions")
    add("--min-agreement", type=_positive, default=0.5, help="exclude annotators below this majority agreement")
    add("--min-seconds", type=_positive, default=1.0, help="exclude annotators below this median time per image")
    add(
        "--count-fast",
        nargs="+",
        default=[],
        metavar="NAME",
        help="annotators (names in the report) to include although fast",
    )
    add("--votes", type=Path, metavar="FILE", help="instead of a tasks folder: a CSV with worker, task, label")
    add("--method", choices=METHODS, default="majority", help="with --votes: aggregation method")
    add("--out", type=Path, metavar="FILE", help="with --votes: a CSV with task, label, probability")
    _add_database(parser)
    parser.only_with("--votes", "--method", "--out")
    parser.never_with("--votes", "--rule", "--least", "--min-gold", "--min-agreement", "--min-seconds", "--count-fast")
    parser.never_with("--votes", "--database")
    parser.only_where(
        lambda args: (args.rule if args.votes is None else args.method) in (None, "majority"),
        "goes with --rule majority, or with --votes and --method majority",
        "--ties",
    )


def _add_audit(parser: Parser) -> None:
    parser.add_argument("release", help="release that the tasks were made from, or to plan for (read-only)")
    parser.add_argument("tasks", type=Path, nargs="?", help="tasks folder, after aggregate")
    parser.add_argument("--images", type=natural, help="in place of a tasks folder: plan an audit of this many images")
    _add_database(parser)
    parser.only_where(lambda args: args.tasks is None, "does nothing with a tasks folder", "--images")
    parser.only_where(lambda args: args.tasks is not None, "goes with a tasks folder", "--database")


# Subcommand -> what it is in the list, its description, and its arguments.
_SUBCOMMANDS: dict[str, tuple[str, str, Callable[[Parser], None]]] = {
    "prepare": ("release -> tasks", "Sample images, write tasks.", _add_prepare),
    "serve": ("tasks -> annotation page", "Serve the annotation page.", _add_serve),
    "export": ("tasks -> files for other tools", "Export tasks or votes.", _add_export),
    "import": ("files from other tools -> votes", "Import answers.", _add_import),
    "aggregate": ("votes -> verdicts", "Aggregate votes.", _add_aggregate),
    "audit": ("verdicts -> share of right images", "Estimate the share of right images.", _add_audit),
    "apply": ("verdicts -> new release", "Write a verified release.", _add_apply),
    "exclude": ("annotator -> votes that do not count", "Exclude an annotator's votes, or undo it.", _add_exclude),
    "forget": ("annotator -> anonymous votes", "Remove an annotator's identity; votes stay.", _add_forget),
}
