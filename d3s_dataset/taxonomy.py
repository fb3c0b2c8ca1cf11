"""Labels: ten backgrounds, the 1000 ImageNet-1k classes, and the nine ImageNet-9 superclasses.

A label is a position: `BACKGROUNDS[label]`, `CLASSES[label]`. The class list was taken once from timm's
ImageNetInfo (WordNet names and glosses) and is kept as data in `imagenet_classes.tsv`; a test compares the two.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING


@dataclass(frozen=True)
class Background:
    """One of the ten backgrounds: its label's name and the phrase that a prompt uses."""

    name: str
    phrase: str


@dataclass(frozen=True)
class ImageNetClass:
    """One ImageNet-1k class: label, WordNet id, unique name (all synonyms), WordNet gloss."""

    index: int
    wnid: str
    name: str
    gloss: str

    @property
    def synonym(self) -> str:
        """The first synonym, without the qualifier that makes a name unique: `crane` for `crane (machine)`."""
        return re.sub(r" \(\w+\)$", "", self.name.split(",")[0])


# The order is the label (arXiv 2211.10370, section 3).
BACKGROUNDS: tuple[Background, ...] = (
    Background("grass", "on grass"),
    Background("road", "on a road"),
    Background("forest", "in a forest"),
    Background("water", "in water"),
    Background("sand", "in sand"),
    Background("indoors", "indoors"),
    Background("snow", "in snow"),
    Background("rain", "in rain"),
    Background("night", "at night"),
    Background("cave", "in a cave"),
)

# ImageNet-9 (Xiao et al., arXiv 2006.09994): ImageNet-1k labels of each superclass.
_SUPERCLASS_RANGES = {
    "dog": "151-170, 173-268",
    "bird": "7-24, 87-100, 127-146",
    "vehicle": "407-408, 428, 436, 444, 468, 511, 547, 555, 561, 565, 569, 573, 586, 603, 609, 612, 627, 656, 661, "
    "665, 670-671, 675, 690, 705, 717, 734, 751, 757, 791, 802-803, 817, 820, 829, 847, 864, 866-867, 870, 880",
    "reptile": "33-68",
    "carnivore": "269-280, 286-299, 356-362, 387-388",
    "insect": "300-326",
    "instrument": "401-402, 420, 432, 486, 494, 513, 541, 546, 558, 566, 577, 579, 593-594, 641-642, 683-684, 687, "
    "699, 776, 822, 875, 881, 889",
    "primate": "365-384",
    "fish": "0-6, 389-397",
}


def _expand(ranges: str) -> tuple[int, ...]:
    bounds = [[int(end) for end in part.split("-")] for part in ranges.split(", ")]
    return tuple(label for ends in bounds for label in range(ends[0], ends[-1] + 1))


SUPERCLASSES: dict[str, tuple[int, ...]] = {name: _expand(ranges) for name, ranges in _SUPERCLASS_RANGES.items()}


@cache
def classes() -> tuple[ImageNetClass, ...]:
    """Return the 1000 classes in label order (read once from the package's data file)."""
    lines = files("d3s_dataset").joinpath("imagenet_classes.tsv").read_text(encoding="utf-8").splitlines()[1:]
    fields = [line.split("\t") for line in lines]
    return tuple(ImageNetClass(int(index), wnid, name, gloss) for index, wnid, name, gloss in fields)


@cache
def wnid_to_label() -> dict[str, int]:
    """Return the label of every WordNet id."""
    return {each.wnid: each.index for each in classes()}


def background_names() -> tuple[str, ...]:
    """Return the ten background names in label order."""
    return tuple(background.name for background in BACKGROUNDS)


def superclass_of(label: int) -> str | None:
    """Return the ImageNet-9 superclass of a foreground label, or None: 630 classes belong to none."""
    return next((name for name, labels in SUPERCLASSES.items() if label in labels), None)


if TYPE_CHECKING:
    CLASSES: tuple[ImageNetClass, ...]


def __getattr__(name: str) -> tuple[ImageNetClass, ...]:
    if name == "CLASSES":  # reads a file, so not at import
        return classes()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
