"""Command-line utilities of all packages: parser, types of numbers, exit codes, progress bar.

A command parses, makes one library call and prints. Invalid input ends in one line on stderr and exit code 1; a bug
keeps its traceback; Ctrl-C is 130, SIGTERM after an orderly stop 143, a closed pipe (`| head`) is silent.

A command that prints tables has `--json` (its values as JSON, one line each, and nothing else on stdout) and `--quiet`
(nothing on stdout): it gives text to `say` and values to `record`. Warnings and errors stay on stderr.

A flag without effect is an error: a parser declares in which modes of its command a flag does nothing
(`Parser.only_with`, `never_with`, `only_where`); later checks use `Parser.refuse_typed`.
"""

import argparse
import json
import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence
from threading import RLock
from typing import Any, Literal, NoReturn, TypeVar, cast

from d3s_dataset.errors import D3SError, Interrupted, redacted, shortened
from d3s_dataset.utils.escape import terminal
from d3s_dataset.utils.processes import keep_freed_memory

T = TypeVar("T")

_output: Literal["text", "json", "quiet"] = "text"  # what the command line that was parsed last asks for on stdout
_called: dict[str, str] = {}  # `python -m MODULE` -> what the user typed in its place

_UNTYPED = object()
_EXAMPLES = "examples:\n"


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Formatter that appends the default only where there is one, marks required flags, and keeps examples' lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLES) else super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help, action.default
        if text is None or "%(default)" in text:
            return text
        if action.option_strings and action.required:
            return f"{text} (required)"
        if default is None or default is False or default in ([], ()):
            return text
        if isinstance(default, list | tuple):
            shown = " ".join(str(value) for value in cast(Sequence[object], default)).replace("%", "%%")
            return f"{text} (default: {shown})"
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with one-line errors and exit code 1, which refuses flags without effect.

    A mode is a flag (`--check`: it was given) or a flag and its values (`--rule majority`, `--to mturk|csv`).

    Args:
        args: of ArgumentParser.
        examples: arguments of example command lines, printed after the help text.
        tables: whether the command prints tables, so that it has `--json` and `--quiet`.
        kwargs: of ArgumentParser.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), tables: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        self._rules: list[tuple[Callable[[argparse.Namespace], bool], str, tuple[str, ...]]] = []
        self._typed: set[str] = set()
        super().__init__(*args, **kwargs)
        self.prog = _called.get(self.prog, self.prog)
        self.examples = tuple(examples)
        self._tables = tables
        if tables:
            how = self.add_mutually_exclusive_group()
            how.add_argument("--json", action="store_true", help="print JSON, one line per result, in place of tables")
            how.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
        if examples:
            self.epilog = _EXAMPLES + "\n".join(f"  {self.prog} {each}" for each in examples).replace("%", "%%")

    def only_with(self, mode: str, *flags: str) -> None:
        """Refuse flags outside a mode."""
        self.only_where(lambda args: self._in_mode(mode, args), f"goes with {mode.replace('|', ' or ')}", *flags)

    def never_with(self, mode: str, *flags: str) -> None:
        """Refuse flags in a mode."""
        self.only_where(lambda args: not self._in_mode(mode, args), f"does nothing with {mode}", *flags)

    def only_where(self, holds: Callable[[argparse.Namespace], bool], why: str, *flags: str) -> None:
        """Refuse flags where `holds(args)` is false; `why` follows the flag in the error message.

        `holds` is called only where one of the flags was typed.
        """
        self._rules.append((holds, why, flags))

    def refuse_typed(self, why: str, *flags: str) -> None:
        """Exit with one line if one of the flags was typed in the last parsed command line."""
        for flag in flags:
            if flag in self._typed:
                self.error(f"{flag} {why}: leave it out")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - its overloads
        """Parse as ArgumentParser does, then refuse flags without effect."""
        found, rest = super().parse_known_args(args, namespace)
        # A flag that keeps its marker was not typed; comparing with the default would miss a typed default.
        flags = self._option_string_actions
        marked = argparse.Namespace(**{action.dest: _UNTYPED for action in flags.values()})
        seen, _ = super().parse_known_args(args, marked)
        self._typed = {flag for flag, action in flags.items() if getattr(seen, action.dest, _UNTYPED) is not _UNTYPED}
        for holds, why, each in self._rules:
            if self._typed.intersection(each) and not holds(found):
                self.refuse_typed(why, *each)
        global _output
        _output = "text"
        if self._tables or self._subparsers:  # of a command with subcommands, some print tables
            json_, quiet = getattr(found, "json", False), getattr(found, "quiet", False)
            _output = "json" if json_ else "quiet" if quiet else "text"
        return found, rest

    def _in_mode(self, mode: str, args: argparse.Namespace) -> bool:
        flag, _, values = mode.partition(" ")
        value = getattr(args, self._option_string_actions[flag].dest)
        return str(value) in values.split("|") if values else value not in (None, False, [])

    def error(self, message: str) -> NoReturn:
        """Print one line that names the command whose `--help` lists what can be typed; exit with 1."""
        self.exit(1, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run_command(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> NoReturn:
    """Call `main(argv)` and exit with the matching exit code."""
    keep_freed_memory()
    try:
        main(argv)
        sys.stdout.flush()
        code = 0
    except D3SError as error:
        print(f"error: {terminal(redacted(str(error)))}", file=sys.stderr)  # noqa: T201
        code = 143 if isinstance(error, Interrupted) else 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The interpreter flushes stdout again at exit; redirect it so that this cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)


def called_as(module: str, words: str) -> None:
    """Let the help and errors of `python -m MODULE` name the words that the user typed, such as `d3s run`."""
    _called[f"python -m {module}"] = words


def say(text: str = "") -> None:
    """Print a line of a command's result on stdout; nothing with `--json` or `--quiet`."""
    if _output == "text":
        print(terminal(text, lines=True), flush=True)  # noqa: T201


def record(**values: Any) -> None:
    """Print values of a command's result as a line of JSON, if `--json` asks for it.

    Args:
        values: by name; models of pydantic, paths, and what JSON has. NaN is null in models.
    """
    if _output == "json":
        plain = {name: each.model_dump(mode="json") if hasattr(each, "model_dump") else each
                 for name, each in values.items()}  # fmt: skip
        print(json.dumps(plain, default=str), flush=True)  # noqa: T201


def warn(text: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {terminal(redacted(text), lines=True)}", file=sys.stderr, flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print a progress message on stderr."""
    print(terminal(redacted(text), lines=True), file=sys.stderr, flush=True)  # noqa: T201


def progress(
    items: Iterable[T] | None = None, *, total: int | None = None, label: str, unit: str = "img", scale: bool = False
) -> Any:
    """Return a tqdm bar over `items` (or one to `update`) on stderr, silent if stderr is not a terminal.

    `scale` shows 12.3M in place of 12300000, for bytes.
    """
    tqdm = _tqdm()
    silent = not sys.stderr.isatty()
    return tqdm(items, total=total, desc=label, unit=unit, unit_scale=scale, disable=silent, leave=False)


def working(text: str) -> Any:
    """Return a context that shows a status text; silent if stderr is not a terminal."""
    tqdm = _tqdm()
    return tqdm(total=0, desc=text, bar_format="{desc} ...", disable=not sys.stderr.isatty(), leave=False)


def _tqdm() -> Any:
    """Return tqdm with a lock of this process alone: its own is a semaphore that a killed worker would leave behind."""
    from tqdm import tqdm

    bar = cast(Any, tqdm)  # its methods have no types
    if not hasattr(bar, "_lock"):
        bar.set_lock(RLock())
    return bar


def natural(text: str) -> int:
    """Parse a whole number from 1 to 2^31 - 1 (an argparse type)."""
    return natural_to(2**31 - 1)(text)


def natural_to(most: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number from 1 to `most`."""

    def parse(text: str) -> int:
        # Leading zeros aside, more digits than `most` has are too many, and beyond 4300 int() would refuse them.
        digits = text.lstrip("0")
        if not digits.isdecimal() or len(digits) > len(str(most)) or int(digits) > most:
            bound = f" and at most {most}" if digits.isdecimal() else ""
            raise argparse.ArgumentTypeError(f"expected a whole number above 0{bound}, got {shortened(text)!r}")
        return int(digits)

    return parse


def part(text: str) -> tuple[int, int]:
    """Parse I/N (an argparse type)."""
    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"expected I/N such as 1/8, with I from 1 to N, got {text!r}")
    return int(first), int(last)


def permutations(text: str) -> int:
    """Parse a number of permutations: 0, or from 2 to 10,000, since one shows no spread."""
    if text.strip("0") == "" and text:
        return 0
    if (value := natural_to(10_000)(text)) < 2:
        raise ArgumentTypeError(f"expected 0, or 2 permutations or more, got {text!r}")
    return value


def cores() -> int:
    """Return the number of processor cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def positive(text: str) -> float:
    """Parse a finite number above zero."""
    if not 0 < (value := _number(text)) < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def weight(text: str) -> float:
    """Parse a lambda: a finite number from zero on."""
    if not 0 <= (value := _number(text)) < float("inf"):
        raise ArgumentTypeError(f"expected a lambda of 0 or more, got {text!r}")
    return value


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    if not 0 <= (value := _number(text)) <= 1:
        raise ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def seed(text: str) -> int:
    """Parse a seed."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise ArgumentTypeError(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
