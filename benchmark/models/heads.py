"""Heads: the output of a model for each of the 1000 ImageNet classes.

Torch half. Models name their outputs by WordNet ids, by names, or not at all; then their number gives the label set,
as in timm. A head that lacks a class is refused: its accuracy there would be 0 for want of an output.
"""

import re
from collections.abc import Sequence
from functools import cache

import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import nn

from d3s_dataset.errors import ModelError
from d3s_dataset.taxonomy import classes, wnid_to_label

# Heads that ImageNet training sets outside of timm gave their models: name -> (outputs, the output of the first class).
MAPS = {"tf1001": (1001, 1)}  # TensorFlow's: output 0 is the background
_WNID = re.compile(r"n\d{8}")


def columns(name: str, count: int, labels: Sequence[str] | None = None, head: str | None = None) -> list[int]:
    """Return, for each of the 1000 classes, its output.

    Args:
        name: the model's, for errors.
        count: how many outputs it has.
        labels: the names of its outputs, if it has them: WordNet ids, or names where there are 1000.
        head: one of `MAPS`, as typed; it goes before the labels.

    Raises:
        ModelError: a class has no output of its own, or nothing names the outputs.
    """
    if head is not None:
        return _mapped(name, count, head)
    subset = infer_imagenet_subset({"num_classes": count})
    if labels is None or (count != len(classes()) and not all(map(_WNID.match, labels))):
        if subset is None:
            raise ModelError(
                f"{name} {_tells(count)}: expected the 1000 of ImageNet-1k or a label set with all of them"
                f"{advice(count)}"
            )
        labels = ImageNetInfo(subset).label_names()
    claims: dict[int | None, list[int]] = {}
    for output, label in enumerate(labels):
        claims.setdefault(_class_of(label, output), []).append(output)
    missing = [each for each in classes() if len(claims.get(each.index, ())) != 1]
    if missing:
        raise ModelError(
            f"{name} {_tells(count)}, and {len(missing)} of the 1000 of ImageNet-1k cannot be told among them, first "
            f"{missing[0].wnid} ({missing[0].synonym}); output 0 is {labels[0]!r}: expected an output for each"
            f"{advice(count)}"
        )
    return [claims[each.index][0] for each in classes()]


def over_imagenet(network: nn.Module, count: int, wanted: list[int]) -> nn.Module:
    """Return a network that returns the wanted of its `count` outputs in their order; itself if it does."""
    return network if wanted == list(range(count)) else Columns(network, wanted)


class Columns(nn.Module):
    """A network of which only some outputs are kept: (n, outputs) to (n, 1000)."""

    def __init__(self, network: nn.Module, wanted: list[int]) -> None:
        super().__init__()
        self.network = network
        self.pretrained_cfg = getattr(network, "pretrained_cfg", None)  # where its weights came from
        self.register_buffer("wanted", torch.tensor(wanted), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of the 1000 classes, (n, 1000)."""
        return self.network(images)[:, self.wanted]


def outputs(head: str) -> int:
    """Return how many outputs a head of `MAPS` has; raises ModelError for another name."""
    if head not in MAPS:
        raise ModelError(f"--model-kwargs head={head}: expected {' or '.join(MAPS)}")
    return MAPS[head][0]


def _mapped(name: str, count: int, head: str) -> list[int]:
    if count != outputs(head):
        raise ModelError(f"{name} {_tells(count)}: expected {outputs(head)} outputs for --model-kwargs head={head}")
    first = MAPS[head][1]
    return list(range(first, first + len(classes())))


def advice(count: int) -> str:
    """Return the end of an error that offers the heads of `MAPS` with so many outputs; empty without any."""
    fitting = [head for head, (wanted, _) in MAPS.items() if wanted == count]
    return "".join(f"; if its outputs are those of {head}: --model-kwargs head={head}" for head in fitting)


def _tells(count: int) -> str:
    return f"tells {count} classes apart" if count else "has no head"


def _class_of(label: str, output: int) -> int | None:
    """Return the class that a label names, or None.

    Some names are shared, as `crane` is by a bird and a machine: then the place in ImageNet's own order decides.
    """
    if found := _WNID.match(label):
        return wnid_to_label().get(found[0])
    whole, first = _names()
    text = " ".join(label.lower().split())
    named = first.get(text, [])
    if output in named:
        return output
    return whole.get(text, named[0] if len(named) == 1 else None)


@cache
def _names() -> tuple[dict[str, int], dict[str, list[int]]]:
    """Return the class of each whole name, and the classes of each first synonym, in lower case."""
    first: dict[str, list[int]] = {}
    for each in classes():
        first.setdefault(each.synonym.lower(), []).append(each.index)
    return {each.name.lower(): each.index for each in classes()}, first
