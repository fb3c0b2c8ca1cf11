"""The images of a split, each once: rows of the same bytes and class need one answer.

A photo of `control_original_guides` stands on as many rows as there are backgrounds. Rows are compared by a digest of
their encoded bytes, before anything is decoded. Needs no torch.
"""

from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

import numpy as np

from benchmark.cache.cache import Cache
from benchmark.data.decode import Images
from benchmark.data.split import Rows, Split
from d3s_dataset.identity import digest
from d3s_dataset.utils.cli import working

_DIGEST = 16  # bytes
_ALIKE = "alike"


@dataclass(frozen=True, eq=False)
class Distinct(Rows):
    """The first row of each image of a split, in order: what is cut into blocks, run and kept."""

    def content(self, cache: Cache) -> str:
        """Return the digest of the images; as with a split, the same for its first n rows."""
        return digest([self.split.content(cache), "distinct"])


def distinct(source: Images, cache: Cache | None = None) -> tuple[Images, np.ndarray]:
    """Return each image of a split once, and where each row has its own.

    Args:
        source: the images. Only a split's are compared; others are all taken for distinct.
        cache: where it is kept which rows are alike; None: the bytes are read.

    Returns:
        m images, and (n,) int, the place of each row's image among them. `source` itself if no two rows are alike.

    Raises:
        ReleaseError: a shard that cannot be read.
    """
    alone = source, np.arange(source.n)
    if not isinstance(source, Split):
        return alone
    kept = cache.images(data=source.content(cache), n=source.n) if cache else None
    known = kept.kept(_ALIKE, "first") if kept else None
    first = _first_rows(source) if known is None else known["first"]
    if kept and known is None:
        kept.keep(_ALIKE, first=first)
    chosen, place = np.unique(first, return_inverse=True)
    return (Distinct(source, chosen), place) if len(chosen) < source.n else alone


def _first_rows(split: Split) -> np.ndarray:
    """Return for each row the first row with the same bytes and class, (n,) int.

    Answers hold the loss, which depends on the class.
    """
    found = bytearray()
    with working("comparing images"):
        for content, label in zip(islice(split.images(), split.n), split.foreground.tolist(), strict=True):
            made = blake2b(content or b"", digest_size=_DIGEST)
            made.update(label.to_bytes(4))
            found += made.digest()
    _, first, place = np.unique(np.frombuffer(found, f"V{_DIGEST}"), return_index=True, return_inverse=True)
    return first[place]
