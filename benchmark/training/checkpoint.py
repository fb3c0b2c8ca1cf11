"""Checkpoints of a training, kept in its folder: a killed one resumes when the same command is run again.

Torch half. `checkpoint.pt` holds tensors and plain values only, with the settings it was made under; it is deleted
once the model is saved.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from benchmark.models.weights import UNFINISHED
from d3s_dataset.errors import ModelError, WriteError, one_line
from d3s_dataset.utils.atomic import replacing, write_atomic
from d3s_dataset.utils.nested import parse_json

FILE, LOG, _ = UNFINISHED


def write(out: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Keep a training's state, atomically.

    Raises:
        WriteError: the disk is full, or the folder cannot be written.
    """
    try:
        with replacing(out / FILE) as temporary:
            torch.save({"settings": json.dumps(settings), "state": state}, temporary)
    except RuntimeError as error:  # torch's own for a full disk
        raise WriteError(f"cannot write {out / FILE}: {one_line(error)}") from None


def read(out: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state that a training of these settings left; None without a checkpoint.

    Raises:
        ModelError: a checkpoint of other settings, or one that cannot be read.
    """
    path = out / FILE
    if not path.is_file():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        theirs, state = parse_json(found["settings"]), found["state"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} cannot be read, delete it to start again: {one_line(error)}") from None
    ours = json.loads(json.dumps(settings))
    other = [key for key in (*ours, *(theirs.keys() - ours.keys())) if ours.get(key) != theirs.get(key)]
    if other:
        differs = "; ".join(f"{key} {_short(theirs.get(key))}, not {_short(ours.get(key))}" for key in other)
        raise ModelError(
            f"{out} holds an unfinished training of other settings ({differs}): type its command to resume it, "
            "name another --out, or delete it"
        )
    if not {"run", "points"} <= state.keys():
        raise ModelError(f"{path} is of an older version of this code, delete it to start again")
    return state


def forget(out: Path) -> None:
    """Remove a training's state."""
    (out / FILE).unlink(missing_ok=True)


def write_log(folder: Path, lines: list[dict[str, Any]]) -> None:
    """Write one JSON line per epoch."""
    write_atomic(folder / LOG, "".join(json.dumps(each) + "\n" for each in lines).encode())


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
