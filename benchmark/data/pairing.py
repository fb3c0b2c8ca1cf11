"""Pairings: groups of classes, each paired with one background, as in the paper's spurious-correlation task.

Needs no torch.

`paper` is theirs (arXiv 2211.10370, section 5): the nine ImageNet-9 superclasses, indoors unused. `sample` fits the 24
classes of the drawn sample, of which nine stay in no group, as 630 of the 1000 do in the paper's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.taxonomy import SUPERCLASSES, background_names, classes
from d3s_dataset.utils.nested import parse_json

Groups = dict[str, tuple[tuple[int, ...], str]]

_PAPER = {
    "dog": "forest",
    "bird": "night",
    "vehicle": "sand",
    "reptile": "cave",
    "carnivore": "road",
    "insect": "snow",
    "instrument": "rain",
    "primate": "water",
    "fish": "grass",
}
_SAMPLE: Groups = {
    "insect": ((301, 323), "snow"),
    "fruit": ((949, 950, 951), "sand"),
    "ball": ((430, 574, 805, 852), "grass"),
    "traffic": ((779, 919, 920), "road"),
    "light": ((437, 470, 607), "night"),
}
_FORM = '{"dog": "forest", ...} or {"NAME": {"classes": [LABEL, ...], "background": "forest"}, ...}'


class PairingError(ModelError):
    """A pairing that cannot be read or does not fit."""


@dataclass(frozen=True)
class Pairing:
    """Groups of classes by name, each with its labels and the background it is paired with."""

    groups: Groups

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names in label order."""
        return tuple(self.groups)

    def group(self, foreground: np.ndarray) -> np.ndarray:
        """Return the group of each class label, (n,) int64; -1 for a class in none."""
        table = np.full(len(classes()), -1, dtype=np.int64)
        for index, (members, _) in enumerate(self.groups.values()):
            table[list(members)] = index
        return table[foreground]

    def aligned(self, foreground: np.ndarray, background: np.ndarray, backgrounds: Sequence[str]) -> np.ndarray:
        """Return the mask of images of a group's class on its own background, (n,) bool.

        Args:
            foreground: (n,) class labels.
            background: (n,) labels.
            backgrounds: the release's names of them.

        Raises:
            PairingError: the release has no background of such a name.
        """
        names = list(backgrounds)
        missing = sorted({name for _, name in self.groups.values()} - set(names))
        if missing:
            raise PairingError(f"the pairing needs the background {missing[0]!r}: the release has {', '.join(names)}")
        own = np.array([*(names.index(name) for _, name in self.groups.values()), -1])
        return own[self.group(foreground)] == background

    def conflicting(self, foreground: np.ndarray, background: np.ndarray, backgrounds: Sequence[str]) -> np.ndarray:
        """Return the mask of images of a group's class on another background than its own, (n,) bool."""
        return (self.group(foreground) >= 0) & ~self.aligned(foreground, background, backgrounds)

    def record(self) -> dict[str, Any]:
        """Return the pairing as JSON, in the form that a file has."""
        return {
            name: {"classes": list(members), "background": background}
            for name, (members, background) in self.groups.items()
        }


def read(text: str) -> Pairing:
    """Return a pairing by name: `paper`, `sample`, a seed, or a JSON file.

    A seed draws another background for every ImageNet-9 superclass, no background twice.

    Raises:
        PairingError: none of these, or a file with unknown or repeated classes.
    """
    if text == "paper":
        return from_record(_PAPER, text)
    if text == "sample":
        return Pairing(_SAMPLE)
    if text.isdecimal():
        names = np.random.default_rng(int(text)).permutation(background_names())
        return from_record(dict(zip(SUPERCLASSES, names.tolist(), strict=False)), text)
    try:
        content = parse_json(Path(text).read_bytes())
    except FileNotFoundError:
        raise PairingError(f"no pairing {text!r}: expected paper, sample, a seed or a JSON file {_FORM}") from None
    except (OSError, ValueError) as error:
        raise PairingError(f"{text} cannot be read as a pairing {_FORM}: {one_line(error)}") from None
    return from_record(content, text)


def from_record(content: Any, where: str) -> Pairing:
    """Return a pairing from its JSON form.

    Raises:
        PairingError: another form, unknown labels, or a class in two groups.
    """
    try:
        groups: Groups = {str(name): _group(str(name), each) for name, each in content.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PairingError(f"{where} is no pairing {_FORM}: {one_line(error)}") from None
    members = [label for labels, _ in groups.values() for label in labels]
    wrong = [label for label in members if not 0 <= label < len(classes()) or members.count(label) > 1]
    if wrong or len(groups) < 2:
        what = f"class {wrong[0]} is unknown or in two groups" if wrong else "fewer than two groups"
        raise PairingError(f"{where} is no pairing {_FORM}: {what}")
    return Pairing(groups)


def _group(name: str, content: Any) -> tuple[tuple[int, ...], str]:
    if isinstance(content, str):
        return SUPERCLASSES[name], content
    return tuple(int(label) for label in content["classes"]), str(content["background"])
