"""Sets of real images in the folders they are published in: which photo belongs to which group and class.

One table, `REAL_SETS`: name -> how its folder is read and scored. Nothing is downloaded, no code of the sets is used.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.data.imagenet import Folder, Photos
from d3s_dataset.errors import SourceError, did_you_mean
from d3s_dataset.taxonomy import SUPERCLASSES, classes
from d3s_dataset.utils import paths

ALL = "all"


@dataclass(frozen=True, eq=False)
class RealPhotos:
    """The photos of a set with the (n,) group of each; a label is a class, or a superclass where the set has those."""

    photos: Photos
    groups: list[str]


@dataclass(frozen=True)
class RealSet:
    """A set of real images.

    Attributes:
        paper: its arXiv id.
        layout: what its folder holds, for help and errors.
        read: folder -> photos, groups, labels; raises SourceError.
        among: whether the answer is the best of the classes that the folder holds, not of all 1000.
        superclasses: whether labels are positions in `SUPERCLASSES`, and an answer counts by its superclass.
        classes: how many classes the whole set has (None: not fixed); others are warned of.
        differences: name -> two groups; the accuracy on the first minus that on the second is reported too.
    """

    paper: str
    layout: str
    read: Callable[[Path], RealPhotos]
    among: bool = False
    superclasses: bool = False
    classes: int | None = None
    differences: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


def real_set(name: str) -> RealSet:
    """Return a set by name; raises SourceError, with near matches, for an unknown one."""
    import difflib

    if name not in REAL_SETS:
        near = did_you_mean(difflib.get_close_matches(name, REAL_SETS))
        raise SourceError(f"unknown set {name!r}{near}: expected one of {', '.join(REAL_SETS)}")
    return REAL_SETS[name]


def read_set(name: str, folder: Path) -> RealPhotos:
    """Return the photos of a set.

    Raises:
        SourceError: an unknown set, no folder, or another layout; names what was expected.
    """
    expected = real_set(name)
    if not folder.is_dir():
        raise SourceError(f"no folder at {folder}: expected {name}, {expected.layout}")
    found = expected.read(folder)
    if not found.groups:
        raise SourceError(f"{folder} holds no photos of {name}: expected {expected.layout}")
    return found


def _by_wnid(folder: Path) -> RealPhotos:
    photos = Folder(folder)
    return RealPhotos(photos, [ALL] * photos.n)


_VARIANTS = (
    "original", "mixed_same", "mixed_rand", "mixed_next", "only_fg", "no_fg", "only_bg_b", "only_bg_t",
)  # fmt: skip
_NUMBERED = re.compile(r"0[0-8]_.+")


def _imagenet_9(folder: Path) -> RealPhotos:
    """Read VARIANT/val/0N_NAME/PHOTO; N is the superclass, in the paper's order, which is that of `SUPERCLASSES`."""
    found: list[tuple[Path, str, int]] = []
    for variant in (each for each in paths.subfolders(folder) if each in _VARIANTS):
        place = folder / variant / "val"
        numbered = paths.subfolders(place) if place.is_dir() else []
        strange = [each for each in numbered if not _NUMBERED.fullmatch(each)]
        if strange or not numbered:
            what = f"{place / strange[0]} is none of them" if strange else f"{place} holds no folder"
            raise SourceError(f"{what}: expected imagenet-9, {REAL_SETS['imagenet-9'].layout}")
        found += [(place / name, variant, int(name.split("/")[0][1])) for each in numbered
                  for name in paths.photos(place / each, f"{each}/")]  # fmt: skip
    return _photos(folder, found)


_INDEXED = re.compile(r"(\d{1,3}) (.+)")


def _counteranimal(folder: Path) -> RealPhotos:
    """Read `INDEX CLASS/common-BACKGROUND/PHOTO` and `.../counter-BACKGROUND/PHOTO`; INDEX is ImageNet's label."""
    found: list[tuple[Path, str, int]] = []
    layout = f"expected counteranimal, {REAL_SETS['counteranimal'].layout}"
    for name in paths.subfolders(folder):
        match = _INDEXED.fullmatch(name)
        if not match or int(match[1]) >= len(classes()):
            raise SourceError(f"{folder / name} has no label of ImageNet: {layout}")
        label = int(match[1])
        if (own := _label_of(match[2])) not in (None, label):
            raise SourceError(f"{folder / name}: ImageNet's label of {match[2]!r} is {own}, not {label}: {layout}")
        for part in paths.subfolders(folder / name):
            group = part.partition("-")[0]
            if group not in ("common", "counter"):
                raise SourceError(f"{folder / name / part} is neither common nor counter: {layout}")
            place = folder / name / part
            found += [(place / each, group, label) for each in paths.photos(place)]
    return _photos(folder, found)


def _label_of(name: str) -> int | None:
    """Return the label of the only class that has a name among its synonyms; None if there is no such class."""
    own = [each.index for each in classes() if name.lower() in each.name.lower().split(", ")]
    return own[0] if len(own) == 1 else None


_LINE = re.compile(r"(\S+)\s+(\d{1,3})")


def _imagenet_e(folder: Path) -> RealPhotos:
    """Read EDIT/PHOTO, and `labels.txt`: the name of a photo and ImageNet's label, one photo per line."""
    table, layout = folder / "labels.txt", f"expected imagenet-e, {REAL_SETS['imagenet-e'].layout}"
    try:
        lines = table.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise SourceError(f"{table} cannot be read: {layout}") from None
    matched = [(_LINE.fullmatch(line.strip()), line) for line in lines if line.strip()]
    wrong = next((line for match, line in matched if not match or int(match[2]) >= len(classes())), None)
    if wrong is not None:
        raise SourceError(f"{table} has the line {wrong[:80]!r}: {layout}")
    labels = {Path(match[1]).stem: int(match[2]) for match, _ in matched if match}
    found: list[tuple[Path, str, int]] = []
    for edit in paths.subfolders(folder):
        for name in paths.photos(folder / edit):
            if Path(name).stem not in labels:
                raise SourceError(f"{folder / edit / name} has no line in {table}: {layout}")
            found.append((folder / edit / name, edit, labels[Path(name).stem]))
    return _photos(folder, found)


def _photos(folder: Path, found: list[tuple[Path, str, int]]) -> RealPhotos:
    found = sorted(found, key=lambda each: str(each[0]))
    photos = Photos(folder, [path for path, _, _ in found], [label for _, _, label in found])
    return RealPhotos(photos, [group for _, group, _ in found])


_WNIDS = "subfolders named by WordNet ids, such as n01440764/PHOTO.jpg"
REAL_SETS = {
    "imagenet-9": RealSet(
        "2006.09994",
        "VARIANT/val/00_dog to 08_fish/PHOTO.JPEG, VARIANT being original, mixed_same, mixed_rand, ...",
        _imagenet_9,
        superclasses=True,
        classes=len(SUPERCLASSES),
        differences={"background gap": ("mixed_same", "mixed_rand")},
    ),
    "counteranimal": RealSet(
        "2403.11497",
        "'LABEL CLASS/common-BACKGROUND/PHOTO.jpg' and '.../counter-BACKGROUND/PHOTO.jpg', such as '9 ostrich'",
        _counteranimal,
        differences={"drop": ("common", "counter")},
    ),
    "imagenet-r": RealSet("2006.16241", _WNIDS, _by_wnid, among=True, classes=200),
    "imagenet-a": RealSet("1907.07174", _WNIDS, _by_wnid, among=True, classes=200),
    "imagenet-sketch": RealSet("1905.13549", _WNIDS, _by_wnid, classes=1000),
    "imagenet-e": RealSet(
        "2303.17096", "EDIT/PHOTO and labels.txt, a line 'PHOTO LABEL' per photo with ImageNet's label", _imagenet_e
    ),
}
