"""All commands of the project, by the word that follows `d3s`. The modules are named as text: none is imported here."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from d3s_dataset.errors import D3SError, did_you_mean
from d3s_dataset.utils.cli import Parser, called_as
from d3s_dataset.utils.extras import late

SHELLS = ("bash", "zsh", "tcsh")


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        module: that `python -m` runs; it has `parser()` and `main(argv)`.
        about: what it does, in a line.
    """

    module: str
    about: str

    def load(self) -> tuple[Callable[[], Parser], Callable[[Any], None]]:
        """Import the module; return its `parser` and `main`."""
        # The module `__main__` of a package is what `python -m` runs of it.
        place = f"{self.module}.__main__" if self.module == "generation.verify" else self.module
        found = import_module(place)
        return found.parser, found.main


COMMANDS = {
    "make": Command("generation.run", "make a release from a recipe"),
    "push": Command("generation.push", "push a release to the Hub"),
    "verify": Command("generation.verify", "have people verify images: prepare, serve, aggregate, ..."),
    "check": Command("d3s_dataset.check", "check a release against its manifest and card"),
    "rebuild": Command("d3s_dataset.rebuild", "make a release whole that was pushed as differences from photos"),
    "sheet": Command("d3s_dataset.sheet", "draw a contact sheet of a release"),
    "run": Command("benchmark.run", "measure models on a release"),
    "score": Command("benchmark.score", "compute the metrics of predictions, without torch"),
    "compare": Command("benchmark.compare", "compare two models on the same images"),
    "power": Command("benchmark.power", "state the smallest difference that a release can show"),
    "realism": Command("benchmark.realism", "compare results with accuracies on real images"),
    "report": Command("benchmark.report", "write a page about results"),
    "probe": Command("benchmark.probe", "measure what features hold of foreground and background"),
    "train": Command("benchmark.train", "train a model, with or without a penalty on what its parts share"),
    "sweep": Command("benchmark.sweep", "trade leakage against accuracy over lambda"),
    "correlate": Command("benchmark.correlate", "test models under spurious correlation"),
    "submit": Command("benchmark.submit", "send a result to a leaderboard"),
    "leaderboard": Command("benchmark.leaderboard", "validate submissions and rank them on a board"),
}


def listing(package: str = "") -> str:
    """Return the commands of a package, or all of them, a line each."""
    words = {name: each for name, each in COMMANDS.items() if each.module.startswith(package)}
    width = max(len(each.module) for each in words.values())
    lines = [f"  d3s {name:<11}  python -m {each.module:<{width}}  {each.about}" for name, each in words.items()]
    return "\n".join(["commands, each with --help:", *lines])


def find(word: str) -> Command:
    """Return a command by its word; raises D3SError, with near matches, for an unknown one."""
    if word not in COMMANDS:
        near = did_you_mean(difflib.get_close_matches(word, COMMANDS, n=2))
        raise D3SError(f"unknown command {word!r}{near}: expected one of {', '.join(COMMANDS)} (see d3s --help)")
    called_as(COMMANDS[word].module, f"d3s {word}")
    return COMMANDS[word]


def completion(shell: str) -> str:
    """Return the script that completes commands and flags of `d3s` in a shell of `SHELLS`."""
    whole = Parser("d3s")
    words = whole.add_subparsers()
    for name, each in COMMANDS.items():
        made, _ = find(name).load()
        # One without help would be hidden.
        words.add_parser(name, help=each.about, parents=[made()], add_help=False, conflict_handler="resolve")
    return str(late("shtab", "score").complete(whole, shell))
