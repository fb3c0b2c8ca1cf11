"""The flags of an evaluation over machines, and what they ask for."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmark.distribute.gather import bring, finish
from benchmark.distribute.parts import run_part
from benchmark.distribute.task import Task
from d3s_dataset.utils.cli import Parser, natural_to, part, record, say
from d3s_dataset.utils.extras import require


def add_flags(parser: Parser) -> None:
    """Add `--features`, `--part`, `--finish`, `--engine`, `--launch` and `--parts` to the parser of `benchmark.run`."""
    add = parser.add_argument
    add("--features", action="store_true", help="compute pooled features, for probes, in place of predictions")
    text = "compute part I of N of the blocks into the cache; the parts may run in parallel, and compile nothing"
    add("--part", type=part, metavar="I/N", help=text)
    text = "write the results of an evaluation made in parts; PART: cache folders of other machines to copy blocks from"
    add("--finish", type=Path, nargs="*", metavar="PART", help=text)
    add("--engine", choices=("local", "ray"), default="local", help="this machine, or the Ray cluster at RAY_ADDRESS")
    add("--launch", choices=("slurm",), help="print the script of an array of --parts and a job that finishes them")
    add("--parts", type=natural_to(10_000), default=8, metavar="N", help="number of parts")
    parser.only_with("--launch", "--parts")
    parser.never_with("--part", "--finish", "--engine", "--launch", "--out", "--imagenet", "--attribution")
    parser.only_where(lambda args: args.finish is None, "does nothing with --finish", "--engine", "--launch")
    parser.never_with("--features", "--out", "--imagenet", "--attribution", "--precision")
    parser.never_with("--engine ray", "--launch", "--devices")  # devices are set by the cluster


def check_engine(engine: str) -> None:
    """Raise MissingExtra if the engine's package is not installed."""
    if engine == "ray":
        require("ray", "ray")


def distribute(tasks: Sequence[Task], args: argparse.Namespace) -> bool:
    """Do what the flags ask for before results can be written; return whether they can.

    Args:
        tasks: the tasks of the evaluation.
        args: the parsed command line.

    Raises:
        ModelError, ReleaseError, ResultError, WriteError, MissingExtra: as raised by what fails.
    """
    if args.part:
        of, now = run_part(tasks, args.part)
        say(f"part {args.part[0]} of {args.part[1]}: {of} block{'s' * (of != 1)}, {of - now} there already")
        say("after all parts: the same command with --finish instead of --part")
        record(part=list(args.part), blocks=of, computed=now)
        return False
    if args.engine == "ray":
        from benchmark.distribute.ray import run_on_cluster

        run_on_cluster(tasks)
    if args.finish:
        say(f"{bring(tasks, args.finish)} blocks copied from {', '.join(map(str, args.finish))}")
    if args.finish is not None or args.engine == "ray":
        finish(tasks)
    return True
