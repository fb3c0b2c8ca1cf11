"""python -m generation.verify prepare|serve|export|import|aggregate|audit|apply: human verification of a release."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.load import fetch_all
from d3s_dataset.utils import extras
from d3s_dataset.utils.cli import Parser, natural, record, run_command, say, warn
from generation.verify.aggregate.consensus import METHODS
from generation.verify.aggregate.rules import RULES, Rule
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.crowds.base import CROWDS
from generation.verify.crowds.exchange import exporting
from generation.verify.prepare.cost import Terms, estimate
from generation.verify.prepare.folder import Wish, prepare

late = partial(extras.late, extra="verify")


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and run the named subcommand."""
    args = parser().parse_args(argv)
    args.run(args)


def _prepare(args: argparse.Namespace) -> None:
    wish = Wish(args.images, args.per_task, args.gold, args.annotators, args.seed, args.examples)
    made = prepare(fetch_all(args.release), args.out, wish)
    known = len(made.items) - len(made.images)
    say(f"drawn: {made.drawn} validation images of {made.name} {made.release[:16]}, and {known:,} gold questions")
    for line in estimate(len(made.tasks), len(made.items), made.workers, Terms(args.pay, args.fee, args.seconds)):
        say(line)
    say(f"written: {args.out}")


def _serve(args: argparse.Namespace) -> None:
    page = late("generation.verify.server.serve")
    given = (args.host, args.port, args.url, args.people, args.days, args.mturk, args.completion_code)
    page_bounds = page.Bounds(args.open_per_address, args.floor)
    given = (*given, args.connections_per_address, page_bounds)
    page.serve(args.tasks, page.Counter(*given))


def _export(args: argparse.Namespace) -> None:
    given = (args.tasks, args.to, args.out, args.images_url, args.anonymous)
    for path in late("generation.verify.crowds.exchange").export(*given):
        say(f"written: {path}")


def _import(args: argparse.Namespace) -> None:
    exchange = late("generation.verify.crowds.exchange")
    for path in args.files:
        taken = exchange.take_file(args.tasks, path)
        say(f"{path}: {taken.new:,} new answers, {taken.there:,} imported before")
        for line in taken.left_out:
            warn(f"{path}: {line}")


def _aggregate(args: argparse.Namespace) -> None:
    extras.require("verify", "crowdkit", "pandas")
    module = late("generation.verify.aggregate.votes_to_verdicts")
    if (args.tasks is None) == (args.votes is None):
        raise VerifyError("expected the tasks folder, or --votes FILE.csv --out FILE.csv for a CSV of votes")
    if args.votes is not None:
        if args.out is None:
            raise VerifyError("--votes: expected --out FILE.csv as well")
        found = module.labels(args.votes, args.method, args.ties, args.out)
        undecided = sum(not each.label for each in found.values())
        say(f"written: {args.out} ({len(found):,} tasks, {undecided:,} of them ties without a label)")
        return
    limits = Limits(args.min_gold, args.min_agreement, args.min_seconds)
    rule = Rule(args.rule, args.least, args.ties)
    found = module.aggregate(args.tasks, rule, limits, args.count_fast)
    verdicts = [each.verified for each in found.rows.values()]
    say(f"{len(verdicts):,} images have votes: {verdicts.count(True):,} verified, {verdicts.count(False):,} not, "
        f"{verdicts.count(None):,} without a verdict ({found.verification.rule_text})")  # fmt: skip
    for name, each in found.verification.agreement.items():
        interval = f", 95 % interval {each.low:.3f} to {each.high:.3f}" if each.low is not None else ""
        say(f"agreement on {name}: alpha {'undefined' if each.alpha is None else f'{each.alpha:.3f}'}{interval}")
    for name, why in found.left_out.items():
        say(f"excluded: {name}: {why}")
    say(f"written: {args.tasks / 'verdicts.json'}, {args.tasks / module.REPORT}")


def _audit(args: argparse.Namespace) -> None:
    if args.tasks is None and args.images is None:
        raise VerifyError("expected the tasks folder with votes, or --images N to plan an audit")
    extras.require("verify", "sklearn")
    module, release = late("generation.verify.aggregate.audit"), fetch_all(args.release)
    found = module.plan(release, args.images) if args.tasks is None else module.audit(release, args.tasks)
    for each in found.records():
        record(**each)
    for line in found.lines():
        say(line)
    if args.tasks is None:
        say(f"next: python -m generation.verify prepare {args.release} --out tasks --images {args.images}")
        say(f"then serve or export, aggregate tasks, and: python -m generation.verify audit {args.release} tasks")


def _apply(args: argparse.Namespace) -> None:
    release = fetch_all(args.release)
    made = late("generation.verify.apply").apply(release, args.tasks, args.out)
    rows = ", ".join(f"{made.rows('default', split):,} {split}" for split in made.splits())
    say(f"written: {args.out} ({rows} rows; {made.rows('votes', 'validation'):,} votes)")


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
    "prepare": ("demo/d3s --out tasks", "org/d3s --out tasks --images 2000 --annotators 3"),
    "serve": (
        "tasks --people ada grace",
        "tasks --completion-code C1234 --host 0.0.0.0 --url https://verify.example.org",
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
}


def parser() -> Parser:
    """Return the command's parser."""
    parser = _Commands("python -m generation.verify", description="Human verification of a release.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)

    def add(name: str, about: str, description: str, tables: bool = False) -> Parser:
        given = {"help": about, "description": description, "examples": _EXAMPLES[name], "tables": tables}
        return commands.add_parser(name, **given)

    _add_prepare(add("prepare", "release -> tasks", "Sample images, write tasks."))
    _add_serve(add("serve", "tasks -> annotation page", "Serve the annotation page."))
    _add_export(add("export", "tasks -> files for other tools", "Export tasks or votes."))
    _add_import(add("import", "files from other tools -> votes", "Import answers."))
    _add_aggregate(add("aggregate", "votes -> verdicts", "Aggregate votes."))
    _add_audit(add("audit", "verdicts -> share of right images", "Estimate the share of right images.", tables=True))
    apply = add("apply", "verdicts -> new release", "Write a verified release.")
    apply.set_defaults(run=_apply)
    apply.add_argument("release", help="release that the tasks were made from (read-only)")
    apply.add_argument("tasks", type=Path, help="tasks folder, after aggregate")
    apply.add_argument("--out", type=Path, required=True, help="folder of the new release")
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.set_defaults(run=_prepare)
    add("release", help="folder or Hub repo such as org/d3s (read-only)")
    add("--out", type=Path, required=True, help="new folder for the tasks")
    add("--images", type=natural, help="number of images, sampled at random (default: all of validation)")
    add("--per-task", type=natural, default=25, help="images per task")
    add("--gold", type=_whole, default=3, help="gold (attention-check) questions per task, in addition")
    add("--annotators", type=natural, default=5, help="annotators per image")
    add("--seed", type=_whole, default=0, help="random seed of the sample")
    add("--examples", metavar="DIR", help="example photos in ImageNet's layout (default: cropped from the guides)")
    add("--pay", type=_positive, default=1.0, help="payment per task, for the cost estimate")
    add("--fee", type=_positive, default=20.0, help="platform fee in percent, for the cost estimate")
    add("--seconds", type=natural, default=8, help="seconds per image, for the time estimate")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.set_defaults(run=_serve)
    add("tasks", type=Path, help="tasks folder written by prepare; votes are stored in it")
    add("--people", nargs="+", default=[], metavar="NAME", help="colleagues; one link is printed per name")
    add("--completion-code", metavar="CODE", help="Prolific completion code; prints the study URL")
    add("--mturk", action="store_true", help="print the ExternalQuestion for Mechanical Turk")
    add("--host", default="127.0.0.1", help="address to bind")
    add("--port", type=_whole, default=8000, help="port to bind; 0 for any free port")
    add("--url", help="public URL, such as https://verify.example.org, where it differs")
    add("--connections-per-address", type=natural, default=100, help="per client address (a TLS proxy counts as one)")
    add("--open-per-address", type=natural, default=10, help="open tasks per client address, for crowd workers")
    add("--floor", type=_positive, default=1.0, help="minimum seconds per image; faster tasks are held for review")
    add("--days", type=_positive, default=14.0, help="days until links expire")


def _add_export(out: Parser) -> None:
    out.set_defaults(run=_export)
    out.add_argument("tasks", type=Path, help="tasks folder")
    out.add_argument("--to", choices=exporting(), required=True, help="target format; csv: the votes, with worker ids")
    out.add_argument("--out", type=Path, required=True, help="output folder")
    out.add_argument("--images-url", metavar="URL", help="public URL of the uploaded folder images/")
    out.add_argument("--anonymous", action="store_true", help="csv: pseudonyms in place of worker ids, to publish")
    out.only_with("--to csv", "--anonymous")
    for name in exporting():
        if not CROWDS[name].pictures:
            out.never_with(f"--to {name}", "--images-url")


def _add_import(back: Parser) -> None:
    back.set_defaults(run=_import)
    back.add_argument("tasks", type=Path, help="tasks folder")
    back.add_argument(
        "files",
        type=Path,
        nargs="+",
        help="results of Mechanical Turk, Prolific, Label Studio or Ground Truth, or votes as CSV",
    )


def _add_aggregate(parser: Parser) -> None:
    add, rules = parser.add_argument, ", ".join(RULES)
    parser.set_defaults(run=_aggregate)
    add("tasks", type=Path, nargs="?", help="tasks folder")
    add("--rule", choices=RULES, default="full", help=f"decision rule: {rules}")
    add("--least", type=natural, default=3, help="minimum votes per image")
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
    parser.only_with("--votes", "--method", "--out")
    parser.never_with("--votes", "--rule", "--least", "--min-gold", "--min-agreement", "--min-seconds", "--count-fast")
    parser.only_where(
        lambda args: (args.rule if args.votes is None else args.method) == "majority",
        "goes with --rule majority, or with --votes and --method majority",
        "--ties",
    )


def _add_audit(parser: Parser) -> None:
    parser.set_defaults(run=_audit)
    parser.add_argument("release", help="release that the tasks were made from, or to plan for (read-only)")
    parser.add_argument("tasks", type=Path, nargs="?", help="tasks folder, after aggregate")
    parser.add_argument("--images", type=natural, help="in place of a tasks folder: plan an audit of this many images")
    parser.only_where(lambda args: args.tasks is None, "does nothing with a tasks folder", "--images")


if __name__ == "__main__":
    run_command(main)
