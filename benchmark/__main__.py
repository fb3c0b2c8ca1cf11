"""The list of this package's commands: `python -m benchmark`."""

from d3s_dataset.utils.cli import run_command, say
from d3s_dataset.utils.commands import listing

if __name__ == "__main__":
    run_command(lambda argv: say(listing("benchmark")))
