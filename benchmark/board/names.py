"""Displayed names of models on a board: allowed characters, origin of the weights, look-alikes.

A displayed name is bound to where the weights come from: a timm name with timm's tag, a Hub repo, a file. What a result
claims beyond that (the tag of a Hub repo's config, which its owner writes) is never shown as a name.
"""

import re

from benchmark.schemas.result import Model
from d3s_dataset.errors import ResultError

_NAME = re.compile(r"[!-~]|[!-~][ -~]{0,254}[!-~]")  # ASCII: no look-alike letters, nothing invisible, no blank name
_MARKUP = set('<>&`|\\"')
_HUB = re.compile(r"(hf-hub|transformers|zero-shot):([\w.-]+/[\w.-]+)", re.ASCII)
_SAME = {"0": "o", "1": "l", "i": "l", "rn": "m", "vv": "w"}  # what ASCII itself holds of look-alikes, in lower case
PREDICTIONS_ONLY = "predictions only"  # the source of what nothing can run again
_SOURCES = {"local-dir": "folder", "packaged": "package"}
OWNED = ("timm", "Hub", "package")  # sources whose names are unambiguous for every submitter
_MOST_ARGUMENTS, _LONGEST_KEY, _LONGEST_VALUE, _LARGEST = 8, 32, 32, 4096


def check_names(model: Model) -> None:
    """Raise ResultError if a name of a model is blank, not ASCII, too long or holds markup."""
    for field in ("name", "tag", "architecture", "checkpoint"):
        text = getattr(model, field)
        if text is not None and (not _NAME.fullmatch(text) or _MARKUP & set(text)):
            shown = ascii(text[:40])
            raise ResultError(
                f"a name of the model: {field} {shown}: expected 1 to 256 printable ASCII characters, no blank at an "
                'end, without < > & ` | \\ "'
            )


def check_arguments(kwargs: dict[str, object]) -> None:
    """Raise ResultError where model arguments are many, long, nested or large: they decide how much memory is taken."""
    if len(kwargs) > _MOST_ARGUMENTS:
        raise ResultError(f"expected at most {_MOST_ARGUMENTS} arguments of the model, got {len(kwargs)}")
    for key, value in kwargs.items():
        if not re.fullmatch(rf"[A-Za-z_]\w{{0,{_LONGEST_KEY - 1}}}", key, re.ASCII):
            raise ResultError(f"an argument of the model has the name {key[:40]!a}: expected a short identifier")
        few = [value] if not isinstance(value, list) else value
        if len(few) > _MOST_ARGUMENTS or not all(_small(each) for each in few):
            raise ResultError(
                f"the model's argument {key}: expected a number of at most {_LARGEST}, true, false, null or a word of "
                f"at most {_LONGEST_VALUE} characters, or a short list of them"
            )


def _small(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_VALUE and value.isascii() and value.isprintable()
    return value is None or (isinstance(value, int | float) and abs(value) <= _LARGEST)  # NaN is not


def display_name(model: Model) -> str:
    """Return a model's displayed name on a board: its source, with timm's own tag where the source is timm."""
    if model.checkpoint:
        return f"{model.name} + {model.checkpoint}"
    architecture = model.name.partition(".")[0]
    tagged = ":" not in model.name and model.tag and model.tag.partition(".")[0] == architecture
    return model.tag if tagged and model.tag else model.name


def source_of(model: Model) -> str:
    """Return the origin of a model's weights as text."""
    if model.elsewhere:
        return PREDICTIONS_ONLY
    if model.checkpoint:
        return "file"
    if hub_repo(model):
        return "Hub"
    prefix, colon, _ = model.name.partition(":")
    return _SOURCES.get(prefix, "code") if colon else "timm"


def hub_repo(model: Model) -> str | None:
    """Return the Hub repo, with its prefix, whose current state a model is; None for all else.

    A revision (`@...`) can be chosen by anybody, so it is nobody's word on what the repo's owner publishes.
    """
    return model.name if not model.checkpoint and _HUB.fullmatch(model.name) else None


def skeleton(name: str) -> str:
    """Return what is left of a name where look-alikes are one: equal for names that a reader may confuse."""
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    for letters, same in _SAME.items():
        plain = plain.replace(letters, same)
    return plain
