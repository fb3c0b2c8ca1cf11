"""Photos of our own: smooth noise as JPEG in ImageNet's layout, where the content does not matter."""

from pathlib import Path

import numpy as np
from PIL import Image

from d3s_dataset.taxonomy import BACKGROUNDS, classes


def draw_photos(folder: Path, labels: tuple[int, ...] = (1, 7), count: int = 24) -> Path:
    """Write `count` photos of each class and of every background under a folder's `foregrounds` and `backgrounds`."""
    rng = np.random.default_rng(0)
    kinds = {
        "foregrounds": [classes()[label].wnid for label in labels],
        "backgrounds": [each.name for each in BACKGROUNDS],
    }
    for kind, names in kinds.items():
        for name in names:
            (folder / kind / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)
                picture = Image.fromarray(pixels).resize((300, 300), Image.Resampling.BICUBIC)
                picture.save(folder / kind / name / f"{index}.jpg", quality=90)
    return folder
