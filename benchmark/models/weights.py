"""Weights: read a file of them without running its code, put them into a network whole or not at all, name them,
save them as a folder that timm takes.

Torch half.
"""

import hashlib
import json
import os
import pickle
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from timm.models import save_for_hf
from torch import nn

from benchmark.models.training_record import RECORD, TENSORBOARD
from d3s_dataset.errors import CheckpointError, ModelError, WriteError, one_line
from d3s_dataset.utils.atomic import publish, write_atomic
from d3s_dataset.utils.cli import warn

_SHOWN = 3  # keys of a mismatch that an error lists
_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training scripts put the weights
_PREFIXES = ("_orig_mod.", "module.")  # what torch.compile and DistributedDataParallel put before a name
UNFINISHED = ("checkpoint.pt", "log.jsonl", TENSORBOARD)  # the files in a folder before its training has ended
# Heads that serve the training alone, next to whose weights the network's own are complete. Anything else too many is
# another architecture: the tensors of a resnet34 hold all of a resnet18's, name for name and shape for shape.
_AUXILIARY = re.compile(r"(?:aux\w*|head_dist)\.", re.IGNORECASE)
_COUNTER = "num_batches_tracked"  # batch norm's step counter: some files lack it and no prediction depends on it


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of weights: safetensors, or a torch file that holds tensors only.

    Raises:
        CheckpointError: no such file, a damaged one, one that would run pickled code, or one without tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: expected a file of weights (.safetensors or .pth)")
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds pickled Python objects, which can run code when opened, or is no file of weights: "
            "expected tensors only; save the model's state_dict(), as .safetensors if you can"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: {one_line(error)}") from None
    return _tensors(path, content)


def load_into(network: nn.Module, weights: dict[str, torch.Tensor], path: Path, name: str) -> tuple[str, ...]:
    """Put weights into a network, all of its own.

    Returns:
        The auxiliary heads of the training that were left out (`AuxLogits`, `aux1`, `head_dist`), which a warning
        names too.

    Raises:
        CheckpointError: a name, shape or kind of number differs; the network is left as it was.
    """
    own = network.state_dict()
    extra = [key for key in weights if key not in own and _AUXILIARY.match(key)]
    wrong = [
        *(f"lacks {key}" for key in own if key not in weights and not key.endswith(_COUNTER)),
        *(f"has {key}, which {name} has not" for key in weights if key not in own and key not in extra),
        *(
            f"{key} is {_shape(weights[key])} where {name} has {_shape(own[key])}"
            for key in own
            if key in weights and weights[key].shape != own[key].shape
        ),
        *(
            f"{key} holds {weights[key].dtype}, expected floating-point numbers"
            for key in own
            if key in weights and own[key].is_floating_point() and not weights[key].is_floating_point()
        ),
    ]
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise CheckpointError(
            f"{path} is a checkpoint of another architecture than {name}: {'; '.join(wrong[:_SHOWN])}{more}"
        )
    network.load_state_dict({key: weights[key] for key in own if key in weights}, strict=False)  # counters may lack
    left_out = tuple(sorted({key.partition(".")[0] for key in extra}))
    if left_out:
        warn(f"{path}: {len(extra)} tensors of auxiliary heads left out, which {name} has not: {', '.join(left_out)}")
    return left_out


def digest(network: nn.Module) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of a network's weights: the same from any container."""
    answer = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith(_COUNTER):
            continue
        answer.update(f"{name} {tensor.dtype} {_shape(tensor)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        answer.update(flat.view(torch.uint8).numpy().data)
    return answer.hexdigest()


def check_folder(out: Path) -> None:
    """Raise ModelError, before the work, where `save` would overwrite anything but a training, finished or not."""
    if out.exists() and not (out.is_dir() and ((out / RECORD).is_file() or all(map(_unfinished, out.iterdir())))):
        raise ModelError(f"{out} holds something that is no earlier training: expected --out to name a new folder")


def save(
    network: nn.Module,
    out: Path,
    record: dict[str, Any],
    beside: Callable[[Path], None] = lambda folder: None,
    kwargs: dict[str, Any] | None = None,
) -> None:
    """Save a timm network as a `local-dir` folder with a record of its training, atomically.

    The folder is written under another name, then swapped with one that is there; `beside` writes further files.
    `kwargs` are the arguments that the network was made with, which timm then uses again.

    Raises:
        WriteError: the disk is full, or the place cannot be written.
    """
    # safetensors holds tensors in plain order only.
    network = network.cpu().to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
            folder = Path(place) / "new"
            save_for_hf(network, str(folder), model_args=kwargs or None, safe_serialization=True)
            write_atomic(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
            beside(folder)
            for path in (each for each in folder.rglob("*") if each.is_file()):
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            if out.exists():
                out.replace(Path(place) / "old")
            publish(folder, out)
    except (OSError, SafetensorError) as error:
        raise WriteError(f"cannot write {out}: {one_line(error)}") from None


def _unfinished(path: Path) -> bool:
    """Return whether a file is one of an unfinished training, or a part of one."""
    return path.name in UNFINISHED or any(path.name.startswith(f".{each}.") for each in UNFINISHED)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path, device="cpu")


def _read_torch(path: Path) -> Any:
    with warnings.catch_warnings():
        # It warns of a foreign pickle protocol before it refuses the file, for which our error is clearer.
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(path: Path, content: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint under their plain names."""
    inner = next((content[key] for key in _NESTED if isinstance(content, dict) and key in content), content)
    if not isinstance(inner, dict) or not inner or not all(isinstance(each, torch.Tensor) for each in inner.values()):
        raise CheckpointError(f"{path} holds no weights: expected tensors by name, as model.state_dict() gives them")
    plain: dict[str, torch.Tensor] = {}
    for name, tensor in inner.items():
        if (key := _plain(str(name))) in plain:
            raise CheckpointError(f"{path} holds {key} twice, with and without a prefix: expected one model's weights")
        plain[key] = tensor
    return plain


def _plain(name: str) -> str:
    # A compiled and distributed model carries the prefixes in either order.
    for prefix in (*_PREFIXES, *_PREFIXES):
        name = name.removeprefix(prefix)
    return name


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
