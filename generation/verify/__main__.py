"""python -m generation.verify prepare|serve|...: human verification of a release."""

import argparse
from collections.abc import Sequence
from functools import partial

from d3s_dataset.errors import VerifyError
from d3s_dataset.load import fetch_all
from d3s_dataset.utils import extras
from d3s_dataset.utils.cli import Parser, record, run_command, say, warn
from generation.verify import arguments
from generation.verify.aggregate.stopping import fewest
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare.cost import Terms, estimate
from generation.verify.prepare.folder import Wish, prepare
from generation.verify.prepare.rounds import Rule, annotators, chosen
from generation.verify.prepare.tasks import read

late = partial(extras.late, extra="verify")


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and run the named subcommand."""
    args = parser().parse_args(argv)
    args.run(args)


def _prepare(args: argparse.Namespace) -> None:
    rule = Rule(args.rule, args.least, args.ties, args.posterior)
    workers, planned = annotators(args.rounds, args.annotators, rule), tuple(args.rounds or ())
    wish = Wish(
        *(args.images, args.per_task, args.gold, workers, planned, rule),
        *(args.seed, args.examples, args.pay, args.fee),
    )
    made = prepare(fetch_all(args.release), args.out, wish)
    known = len(made.items) - len(made.images)
    pay = arguments.PAY if args.pay is None else args.pay
    say(f"drawn: {made.drawn} validation images of {made.name} {made.release[:16]}, and {known:,} gold questions")
    terms = Terms(pay, args.fee, args.seconds)
    least = fewest(rule, workers) if made.stops else workers
    for line in estimate(len(made.tasks), len(made.items), workers, terms, least):
        say(line)
    say(f"written: {args.out}")


def _serve(args: argparse.Namespace) -> None:
    page = late("generation.verify.server.serve")
    given = (args.host, args.port, args.url, args.people, args.days, args.mturk, args.completion_code)
    page_bounds = page.Bounds(args.open_per_address, args.floor)
    given = (*given, args.connections_per_address, page_bounds, args.consent, args.minimum_age, args.database)
    page.serve(args.tasks, page.Counter(*given))


def _export(args: argparse.Namespace) -> None:
    present = late("generation.verify.rounds.open_items").present_round
    export, given = late("generation.verify.crowds.exchange").export, (args.tasks, args.to, args.out, args.images_url)
    for path in export(*given, present, pseudonyms=args.anonymous, database=args.database):
        say(f"written: {path}")


def _import(args: argparse.Namespace) -> None:
    exchange = late("generation.verify.crowds.exchange")
    for path in args.files:
        taken = exchange.take_file(args.tasks, path, args.database)
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
    rule = chosen(read(args.tasks).rule, args.rule, args.least, args.ties)
    found = module.aggregate(args.tasks, rule, limits, args.count_fast, args.database)
    verdicts = [each.verified for each in found.rows.values()]
    say(f"{len(verdicts):,} images have votes: {verdicts.count(True):,} verified, {verdicts.count(False):,} not, "
        f"{verdicts.count(None):,} without a verdict ({found.verification.rule_text})")  # fmt: skip
    for name, each in found.verification.agreement.items():
        interval = f", 95 % interval {each.low:.3f} to {each.high:.3f}" if each.low is not None else ""
        say(f"agreement on {name}: alpha {'undefined' if each.alpha is None else f'{each.alpha:.3f}'}{interval}")
    for line in found.rounds.lines() if found.rounds else []:
        say(line)
    for name, why in found.left_out.items():
        say(f"excluded: {name}: {why}")
    say(f"written: {args.tasks / 'verdicts.json'}, {args.tasks / module.REPORT}")


def _audit(args: argparse.Namespace) -> None:
    if args.tasks is None and args.images is None:
        raise VerifyError("expected the tasks folder with votes, or --images N to plan an audit")
    extras.require("verify", "sklearn")
    module, release = late("generation.verify.aggregate.audit"), fetch_all(args.release)
    found = (
        module.plan(release, args.images) if args.tasks is None else module.audit(release, args.tasks, args.database)
    )
    for each in found.records():
        record(**each)
    for line in found.lines():
        say(line)
    if args.tasks is None:
        say(f"next: python -m generation.verify prepare {args.release} --out tasks --images {args.images}")
        say(f"then serve or export, aggregate tasks, and: python -m generation.verify audit {args.release} tasks")


def _apply(args: argparse.Namespace) -> None:
    release = fetch_all(args.release)
    made = late("generation.verify.apply").apply(release, args.tasks, args.out, args.database)
    rows = ", ".join(f"{made.rows('default', split):,} {split}" for split in made.splits())
    say(f"written: {args.out} ({rows} rows; {made.rows('votes', 'validation'):,} votes)")


def _forget(args: argparse.Namespace) -> None:
    for line in late("generation.verify.people").forget(
        args.tasks, args.worker, votes=args.with_votes, database=args.database
    ):
        say(line)


def _exclude(args: argparse.Namespace) -> None:
    exclude = late("generation.verify.people").exclude
    say(exclude(args.tasks, args.worker, args.reason, undo=args.undo, database=args.database))


def parser() -> Parser:
    """Return the command's parser."""
    return arguments.parser(
        {
            "prepare": _prepare,
            "serve": _serve,
            "export": _export,
            "import": _import,
            "aggregate": _aggregate,
            "audit": _audit,
            "apply": _apply,
            "exclude": _exclude,
            "forget": _forget,
        }
    )


if __name__ == "__main__":
    run_command(main)
