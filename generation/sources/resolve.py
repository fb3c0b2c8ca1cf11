"""The source that a command line names, and the names under which a source may hold a class."""

from collections.abc import Mapping
from pathlib import Path

from d3s_dataset.taxonomy import classes, wnid_to_label
from generation.sources.base import ImageSource
from generation.sources.folder import FolderSource
from generation.sources.hub import HF_PREFIX, HubSource


def open_source(name: str, labels: Mapping[str, int], role: str) -> ImageSource:
    """Return the source that a command line names: a folder, or `hf:REPO[:SPLIT]`.

    Raises:
        SourceError: no such folder, or a data set that cannot be loaded.
    """
    return HubSource(name, labels, role) if name.startswith(HF_PREFIX) else FolderSource(Path(name), labels, role)


def foreground_labels() -> dict[str, int]:
    """Return what may name a foreground class in a source: its WordNet id, or its full name."""
    # imagenet-1k on the Hub distinguishes the two cranes by a number.
    return wnid_to_label() | {each.name: each.index for each in classes()} | {"crane2": 517}
