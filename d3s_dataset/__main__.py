"""The console script `d3s`: `d3s COMMAND ...` is `python -m` of the command's module; `d3s` alone lists them."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

from d3s_dataset.utils.cli import Parser, run_command, say
from d3s_dataset.utils.commands import COMMANDS, SHELLS, completion, find, listing


def parser() -> Parser:
    """Return the parser of `d3s` itself."""
    examples = ("make --recipe sample --out d3s", "run --model convnext_base --dataset d3s", "--completion bash")
    answer = Parser("d3s", description="D3S: the dataset, its generation, its benchmark.", examples=examples)
    answer.add_argument("command", nargs="?", metavar="COMMAND", help=f"one of {', '.join(COMMANDS)}")
    answer.add_argument("--version", action="version", version=f"d3s {version('d3s')}")
    answer.add_argument("--completion", choices=SHELLS, help="print the script that completes commands in a shell")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command, or list them."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-"):
        find(words[0]).load()[1](words[1:])
        return
    args = parser().parse_args(words)
    say(completion(args.completion) if args.completion else listing())


def entry() -> None:
    """Run `d3s` as a console script."""
    run_command(main)


if __name__ == "__main__":
    entry()
