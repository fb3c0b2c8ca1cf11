"""Cached facts about models, read without loading the model, so that a second call needs no torch.

An entry of the cache is valid only while every file that the model was read from has the same bytes: the checkpoint,
the folder that was named, the file of a package, or what the Hub now gives for the files of a pretrained model. Needs
no torch.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.cache.cache import Cache, KnownModel
from benchmark.models.registry import folder_of, source_of
from d3s_dataset.hub.offline import cache_only_where_unreachable

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
HubFile = tuple[str, str | None, str]  # repo, revision, name


def recall(cache: Cache, name: str, checkpoint: Path | None, kwargs: dict[str, Any]) -> KnownModel | None:
    """Return a model's facts if they are still valid, else None."""
    known = cache.model(_question(name, checkpoint, kwargs))
    if known is None:
        return None
    paths = _paths(name, checkpoint, known.hub)
    return known if paths and cache.digest_of_all(paths) == known.files else None


def remember(cache: Cache, name: str, checkpoint: Path | None, kwargs: dict[str, Any], **facts: Any) -> None:
    """Store the facts of a model just loaded, if the files they came from are known.

    Args:
        cache: where.
        name: as typed.
        checkpoint: its file of weights, or None.
        kwargs: its arguments.
        facts: `config` (timm's `pretrained_cfg`, empty for other models), and the fields of `KnownModel` that a load
            tells.
    """
    config = facts.pop("config")
    source = source_of(name)
    hub = [] if checkpoint or source.file or folder_of(name) else _hub_files(name, config)
    paths = _paths(name, checkpoint, hub) if config or source.snapshot else None
    if paths:
        known = KnownModel(files=cache.digest_of_all(paths), hub=hub, **facts)
        cache.keep_model(_question(name, checkpoint, kwargs), known)


def _question(name: str, checkpoint: Path | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    arguments = sorted((key, repr(value)) for key, value in kwargs.items())
    folder = folder_of(name)
    place = f"{name.partition(':')[0]}:{folder.resolve()}" if folder else name
    source = source_of(name)
    # By its place: two checkpoints of one architecture are two entries.
    file = str(checkpoint.resolve()) if checkpoint else None
    question = {"name": place, "kwargs": arguments, "checkpoint": file}
    question |= {package: _version(package) for package in source.packages}
    if source.more:
        question["more"] = source.more()
    return question


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _paths(name: str, checkpoint: Path | None, hub: list[HubFile]) -> list[Path] | None:
    """Return the files that a model is read from now, or None if that cannot be determined."""
    paths, find = [checkpoint] if checkpoint else [], source_of(name).file
    if find:
        paths += [file] if (file := find(name)) else []
    elif folder := folder_of(name):
        paths += sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []
    elif not checkpoint or source_of(name).repo:
        return _download(hub)
    return paths if paths and all(each.is_file() for each in paths) else None


def _download(hub: list[HubFile]) -> list[Path] | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        with cache_only_where_unreachable():
            return [Path(hf_hub_download(repo, file, revision=revision)) for repo, revision, file in hub] or None
    except (HfHubHTTPError, LocalEntryNotFoundError, EntryNotFoundError, OSError):
        return None  # loading the model gives the better error


def _hub_files(name: str, config: dict[str, Any]) -> list[HubFile]:
    """Return which files of the Hub were read, for a model of transformers all that it has here; none if unsure."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    source, named_repo = source_of(name), name.partition(":")[2]
    if source.snapshot:
        repo = named_repo
        folder = Path(snapshot_download(repo, local_files_only=True))
        return [(repo, None, str(each.relative_to(folder))) for each in sorted(folder.rglob("*")) if each.is_file()]
    place = named_repo if source.repo else config.get("hf_hub_id")
    if not place or config.get("file") or config.get("state_dict"):
        return []
    repo, _, revision = str(place).partition("@")
    named = config.get("hf_hub_filename")
    wanted = [*([named] if named else _WEIGHTS), *(["config.json"] if source.repo else [])]
    found: list[HubFile] = [
        (repo, revision or None, file)
        for file in wanted
        if isinstance(try_to_load_from_cache(repo, file, revision=revision or None), str)
    ]
    return found if any(file != "config.json" for _, _, file in found) else []
