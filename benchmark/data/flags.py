"""Flags that several commands share: which images of which release. Needs no torch."""

from argparse import ArgumentParser

from d3s_dataset.utils.cli import natural


def add_dataset_flags(parser: ArgumentParser, *, split: bool = True) -> None:
    """Add `--dataset` and `--config`; with `split` also `--split` and `--limit`, for commands that read one split."""
    add = parser.add_argument
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="folder or Hub repo of a release")
    add("--config", default="default", metavar="NAME", help="config of the release: default, guides, a control set")
    if split:
        add("--split", default="validation", metavar="NAME", help="train, validation, ...")
        add("--limit", type=natural, metavar="N", help="use the first N images only")
