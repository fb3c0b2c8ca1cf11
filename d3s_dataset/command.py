"""What every command line of the project shares: the parser, the exit codes, the progress bar.

A command is parse, one library call, print. Bad input ends in one line on stderr and exit code 1; a bug keeps
its traceback; Ctrl-C is 130, SIGTERM that was seen to in order 143, a reader that went away (`| head`) is silent.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from d3s_dataset.errors import D3SError, Interrupted, shortened

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line and exit code 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Print one line that names the command whose `--help` lists what can be typed; exit with 1."""
        self.exit(1, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run_command(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> NoReturn:
    """Call `main(argv)` and leave the process with the exit code its end deserves."""
    try:
        main(argv)
        sys.stdout.flush()
        code = 0
    except D3SError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        code = 143 if isinstance(error, Interrupted) else 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; give it a place where that cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)


def say(text: str = "") -> None:
    """Print a line of a command's answer on stdout."""
    print(text, flush=True)  # noqa: T201


def warn(text: str) -> None:
    """Print a line about something odd on stderr, where it does not mix with the answer."""
    print(f"warning: {text}", file=sys.stderr, flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print a line about how far things are on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def progress(
    items: Iterable[T] | None = None, *, total: int | None = None, label: str, unit: str = "img", scale: bool = False
) -> Any:
    """Return a tqdm bar over `items` (or one to `update`) on stderr, silent where that is no terminal.

    `scale` shows 12.3M in place of 12300000, for bytes.
    """
    from tqdm import tqdm

    silent = not sys.stderr.isatty()
    return tqdm(items, total=total, desc=label, unit=unit, unit_scale=scale, disable=silent, leave=False)


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


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
