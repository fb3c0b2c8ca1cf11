"""python -m generation.verify prepare|serve|export|import|aggregate|apply: people verify a release."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from d3s_dataset.command import Parser, natural, run_command, say
from d3s_dataset.load import fetch_all
from generation.verify.cost import Terms, estimate
from generation.verify.late import late
from generation.verify.prepare import Wish, prepare


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and do the one thing that it names."""
    args = _parser().parse_args(argv)
    args.run(args)


def _prepare(args: argparse.Namespace) -> None:
    wish = Wish(args.images, args.per_task, args.gold, args.workers, args.seed, args.examples)
    made = prepare(fetch_all(args.release), args.out, wish)
    known = len(made.items) - len(made.images)
    say(f"drawn: {made.drawn} validation images of {made.name} {made.release[:16]}, {known:,} known pairs among them")
    for line in estimate(len(made.tasks), len(made.items), made.workers, Terms(args.pay, args.fee, args.seconds)):
        say(line)
    say(f"written: {args.out}")


def _serve(args: argparse.Namespace) -> None:
    page = late("generation.verify.serve")
    given = (args.host, args.port, args.url, args.people, args.days, args.mturk, args.completion_code)
    page.serve(args.tasks, page.Counter(*given))


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
    """A parser whose help shows the flags of every command below it."""

    def format_help(self) -> str:
        """Return the help of all commands."""
        below = self._subparsers._group_actions[0].choices if self._subparsers else {}  # pyright: ignore[reportAttributeAccessIssue]
        return "\n".join([super().format_help(), *(each.format_help() for each in dict(below or {}).values())])


def _parser() -> Parser:
    parser = _Commands("python -m generation.verify", description="Let people verify a release.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    _add_prepare(commands.add_parser("prepare", help="release -> tasks", description="Draw images, make tasks."))
    _add_serve(commands.add_parser("serve", help="tasks -> a page for everybody", description="Serve the page."))
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.set_defaults(run=_prepare)
    add("release", help="a folder, or a Hub repo such as org/d3s; only read")
    add("--out", type=Path, required=True, help="the folder of tasks, a new one")
    add("--images", type=natural, help="how many images, drawn at random; without it all of validation")
    add("--per-task", type=natural, default=25, help="images in a task")
    add("--gold", type=_whole, default=3, help="known pairs in a task, on top of them")
    add("--workers", type=natural, default=5, help="people an image")
    add("--seed", type=_whole, default=0, help="of the draw")
    add("--examples", metavar="DIR", help="photos in ImageNet's layout; without it they are cut from the guides")
    add("--pay", type=_positive, default=1.0, help="for one task, to reckon the cost")
    add("--fee", type=_positive, default=20.0, help="of the crowd's owner, per cent")
    add("--seconds", type=_positive, default=8.0, help="that an image takes, to reckon the hours")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.set_defaults(run=_serve)
    add("tasks", type=Path, help="the folder that prepare wrote; votes go into it")
    add("--people", nargs="+", default=[], metavar="NAME", help="colleagues, each of whom gets a link")
    add("--completion-code", metavar="CODE", help="Prolific's; the study's address is printed")
    add("--mturk", action="store_true", help="print the ExternalQuestion for Mechanical Turk")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=_whole, default=8000, help="0 takes a free one")
    add("--url", help="the address that people use, such as https://verify.example.org, where it is another")
    add("--days", type=_positive, default=14.0, help="how long links are good")


if __name__ == "__main__":
    run_command(main)
