"""The records in a trained model's folder: its training, and the partition of its pooled features by label.

The paper cuts ResNet-50's 2048 features by index into 1798 and 250 (arXiv 2211.10370, section 4). Needs no torch.
"""

from pathlib import Path

from pydantic import ValidationError, model_validator

from benchmark.schemas.metrics import Strict
from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic

FILE = "partition.json"
RECORD = "training.json"  # in a trained model's folder: settings, images, and the record of the weights it started from

TENSORBOARD = "tensorboard"  # folder in it: the curves of the training


class Partition(Strict):
    """Sizes of the parts of pooled features: first those of the foreground, then those of the background."""

    foreground: int
    background: int

    @model_validator(mode="after")
    def _has_both(self) -> "Partition":
        if self.foreground < 1 or self.background < 1:
            raise ValueError("expected at least one feature on either side")
        return self

    @property
    def size(self) -> int:
        """The number of features."""
        return self.foreground + self.background

    def columns(self, part: str) -> slice:
        """Return which columns of (n, size) features are the part `foreground` or `background`."""
        return {"foreground": slice(0, self.foreground), "background": slice(self.foreground, self.size)}[part]


def read(folder: Path) -> Partition | None:
    """Return the partition recorded in a model's folder; None where nothing is split.

    Raises:
        ModelError: a record that cannot be read.
    """
    path = folder / FILE
    try:
        return Partition.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} cannot be read: expected a split of features: {one_line(error)}") from None


def write(folder: Path, partition: Partition) -> None:
    """Record a partition in a model's folder."""
    write_atomic(folder / FILE, to_json(partition))


def record_of(checkpoint: Path) -> Path:
    """Return the path of the training record of a file of weights: in its folder, or in that of the link's target."""
    own, linked = (path.parent / RECORD for path in (checkpoint, checkpoint.resolve()))
    return own if own.is_file() else linked
