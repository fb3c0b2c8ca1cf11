"""Online codelength of labels given features: how much a reader learns, and from how few photos (MDL probing).

Torch half. Labels are coded block by block, each by a probe of all blocks before it, the first uniformly: eq. 3 of
Voita & Titov, arXiv 2003.12298. The coder is LDA, in closed form, calibrated on held-out photos. A probe that needs
many photos for what it reads pays for it here, where accuracy alone does not show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.probing import probes
from benchmark.probing.folds import Photos, blocks
from d3s_dataset.errors import ResultError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CODER = "lda"
_LEAST_PROBABILITY = 1e-12


def codelength(
    values: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    classes: int,
    photos: Photos,
    name: str,
    seed: int = 0,
    device: str = "cpu",
) -> float:
    """Return the nats per row that an online code of the labels takes; log(classes) codes them without features.

    Args:
        values: (n, d) features.
        labels: (n,) int in 0..classes-1.
        classes: k.
        photos: of the rows.
        name: the cut whose photos blocks are made of.
        seed: of their order.
        device: where.

    Raises:
        ResultError: a label with fewer than two photos.
    """
    nats = np.full(len(labels), np.log(classes))
    for fold in blocks(name, photos, labels, seed):
        if not len(fold.test):
            continue
        try:
            probe = probes.fit(
                CODER, values[fold.train], labels[fold.train], fold.held,
                classes=classes, learn=fold.learn, seed=seed, device=device,
            )  # fmt: skip
        except ResultError:  # one label so far: nothing can be learnt, the block is coded uniformly
            continue
        likely = probe(values[fold.test])[np.arange(len(fold.test)), labels[fold.test]]
        nats[fold.test] = -np.log(np.maximum(likely, _LEAST_PROBABILITY))
    return float(nats.mean())
