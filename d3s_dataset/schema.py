"""Columns of a release: one `Record` defines the Arrow schema, the HF features and the card.

Every split of a config has the same columns, null where unknown. Label columns are int64 because
`datasets` keeps a ClassLabel in Parquet metadata on that type only.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_args

import pyarrow as pa

from d3s_dataset.taxonomy import BACKGROUNDS, background_names, classes
from d3s_dataset.utils.tables import Markup, markdown_table

if TYPE_CHECKING:
    from datasets import Features

CONFIGS = {
    "default": "the images",
    "guides": "what the generator was given: the photo of the object pasted on the background photo",
    "control_scale": "redrawn from the same photo, box and seed on neutral grey, the prompt without its background",
    "control_scale_guides": "the guides of control_scale: the photo pasted on grey, not redrawn",
    "control_original": "redrawn from the whole photo, with the same prompt and seed",
    "control_original_guides": "the guides of control_original: the photo itself, cropped and resized like an image",
    "votes": "the raw votes of human verification, anonymised",
}

# Kinds of releases whose numbers are not D3S's, and what they are.
_OTHER_KINDS = {"sample": "drawn sample", "guides": "guides (no model has redrawn them)", "shift": "sibling shift"}

# Those that are matched to the images by key.
CONTROLS = tuple(name for name in CONFIGS if name not in ("default", "votes"))

_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_BOX = pa.struct({side: pa.int32() for side in ("left", "top", "right", "bottom")})


def _column(arrow: pa.DataType, doc: str, feature: str = "value", default: Any = ...) -> Any:
    metadata = {"arrow": arrow, "doc": doc, "feature": feature}
    return field(metadata=metadata) if default is ... else field(metadata=metadata, default=default)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of a release. The order of the fields is the order of the columns."""

    image: dict[str, Any] = _column(_IMAGE, "the picture, square, RGB", "image")
    foreground: int = _column(pa.int64(), "ImageNet-1k class of the object, 0-999", "foreground")
    background: int = _column(pa.int64(), "where it stands", "background")
    wnid: str = _column(pa.string(), "WordNet id of the foreground class")
    key: str = _column(pa.string(), "unique name of the row; joins configs and predictions")
    prompt: str = _column(pa.string(), "prompt of the generator")
    seed: int = _column(pa.int64(), "seed of the row's noise")
    attempt: int = _column(
        pa.int32(), "which of its seeds that is: 0 is the planned one, others were drawn after it", default=0
    )
    foreground_source: str = _column(pa.string(), "the foreground photo")
    background_source: str | None = _column(pa.string(), "the background photo; null where the recipe uses none")
    box: dict[str, int] = _column(_BOX, "where the foreground was pasted, in pixels")
    mask: dict[str, Any] | None = _column(
        _IMAGE, "the object's pixels in the guide, 1 bit each; null where the photo has no mask", "image", default=None
    )
    mask_confidence: float | None = _column(
        pa.float32(), "the segmenter's confidence in the mask, 0 to 1; null where the mask is exact", default=None
    )
    ladder: str | None = _column(
        pa.string(), "joins the rows that differ in `severity` alone; null where the recipe has none", default=None
    )
    severity: float | None = _column(
        pa.float32(), "level of the recipe's `severity`: the strength, or the background photo's weight", default=None
    )
    generator: str | None = _column(pa.string(), "image-to-image model and revision; null where the guide is the image")
    scheduler: str | None = _column(pa.string(), "its noise scheduler", default=None)
    steps: int | None = _column(pa.int32(), "its denoising steps at strength 1", default=None)
    strength: float | None = _column(pa.float32(), "share of the steps that were run", default=None)
    guidance_scale: float | None = _column(pa.float32(), "weight of the prompt", default=None)
    fidelity_ssim: float | None = _column(
        pa.float32(), "mean structural similarity of image and guide under the mask, 1 is equal", default=None
    )
    fidelity_colour: float | None = _column(
        pa.float32(), "mean CIE 1976 colour difference of image and guide under the mask, 0 is equal", default=None
    )
    fidelity_seam: float | None = _column(
        pa.float32(), "mean step of the image's luminance across the mask's edge, of 255", default=None
    )
    fidelity_features: float | None = _column(
        pa.float32(), "cosine similarity of a vision network's features of image and guide there", default=None
    )
    screen_contrast: float | None = _column(
        pa.float32(), "standard deviation of the luminance, 0 is blank", default=None
    )
    screen_clipped: float | None = _column(pa.float32(), "share of channel values at 0 or 255", default=None)
    screen_hash: str | None = _column(pa.string(), "64-bit perceptual hash, hexadecimal", default=None)
    screen_duplicate_of: str | None = _column(pa.string(), "key of an earlier row that it repeats", default=None)
    screen_unsafe: bool | None = _column(pa.bool_(), "the generator's own safety checker flagged it", default=None)
    screen_clip_foreground: float | None = _column(
        pa.float32(), "CLIP's probability of its class among the plan's classes", default=None
    )
    screen_clip_background: float | None = _column(
        pa.float32(), "CLIP's probability of its background among the recipe's", default=None
    )
    screen_clip_object: float | None = _column(
        pa.float32(), "the same of its class, seeing the object alone; null without a mask", default=None
    )
    screen_clip_surroundings: float | None = _column(
        pa.float32(), "the same of its background, seeing all but the object; null without a mask", default=None
    )
    screen_vlm_object: float | None = _column(
        pa.float32(), "a vision-language model's probability of yes, asked if it shows its class", default=None
    )
    screen_vlm_background: float | None = _column(
        pa.float32(), "the same, asked if it shows its background; neither fails a screen", default=None
    )
    screen_failed: str | None = _column(
        pa.string(), "screens that it fails under the recipe's limits, comma-separated; empty where none", default=None
    )
    verified: bool | None = _column(pa.bool_(), "people agreed that it shows its labels", default=None)
    votes: int | None = _column(pa.int32(), "people whose votes count", default=None)
    votes_foreground: int | None = _column(pa.int32(), "of them, answered that the object is there", default=None)
    votes_background: int | None = _column(pa.int32(), "of them, answered that the background is there", default=None)
    votes_unsafe: int | None = _column(pa.int32(), "of them, saw nudity or violence", default=None)
    votes_posterior: float | None = _column(
        pa.float32(),
        "probability (Dawid-Skene) that object and background are there and nothing is unsafe",
        default=None,
    )
    votes_drawn: str | None = _column(pa.string(), "how the row was chosen to be looked at", default=None)


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """One row of the config `votes`: one annotator's answer to one question about one picture."""

    item: str = _column(pa.string(), "the picture that was shown")
    key: str | None = _column(pa.string(), "the row it belongs to; null for a gold question")
    worker: str = _column(pa.string(), "anonymous id of the annotator")
    question: str = _column(pa.string(), "foreground, background or unsafe")
    answer: str = _column(pa.string(), "yes, no or unsure")
    expected: str | None = _column(pa.string(), "the right answer of a gold question", default=None)
    counted: bool = _column(pa.bool_(), "false for excluded annotators")


NEWER = (  # columns that releases of earlier versions lack
    "mask", "mask_confidence", "ladder", "severity", "fidelity_ssim", "fidelity_colour", "fidelity_seam",
    "fidelity_features", "screen_clip_object", "screen_clip_surroundings", "screen_vlm_object", "screen_vlm_background",
)  # fmt: skip

_RECORDS = {"votes": Ballot}  # every other config holds images


def record_of(config: str) -> type[Record] | type[Ballot]:
    """Return the dataclass whose fields are the columns of a config."""
    return _RECORDS.get(config, Record)


def not_d3s(kind: str, config: str = "default") -> str | None:
    """Return a short label for images that are not D3S's; None for images of D3S.

    Args:
        kind: kind of their release.
        config: their config.
    """
    if kind in ("d3s", "shift") and config.endswith("guides"):
        kind = "guides"
    if kind == "d3s":
        return None if config == "default" else f"config {config}, not D3S"
    return f"{_OTHER_KINDS.get(kind, f'kind {kind!r}')}, not D3S"


def column_names() -> tuple[str, ...]:
    """Return the columns' names in order."""
    return tuple(each.name for each in fields(Record))


def required_columns() -> tuple[str, ...]:
    """Return the names of the image columns that are never null."""
    return tuple(each.name for each in fields(Record) if type(None) not in get_args(each.type))


def default_columns(config: str = "default") -> tuple[str, ...]:
    """Return the columns that `load` gives unless it is asked for others.

    Of images those that are never null, since no batch of tensors can hold a null; of `votes` all.
    """
    return required_columns() if record_of(config) is Record else tuple(each.name for each in fields(record_of(config)))


def lacking(names: Collection[str]) -> tuple[str, ...]:
    """Return the columns of `NEWER` that a release with columns of these names lacks."""
    return tuple(name for name in NEWER if name not in names)


def arrow_schema(
    backgrounds: Sequence[str] | None = None, config: str = "default", without: Collection[str] = ()
) -> pa.Schema:
    """Return the Arrow schema, carrying the HF features in its `huggingface` metadata.

    Args:
        backgrounds: names of the background labels; the ten of D3S unless a recipe for another shift has its own.
        config: the config, which defines the columns.
        without: names of columns to leave out.
    """
    listed = feature_dict(backgrounds, config, without)
    columns = [pa.field(each.name, each.metadata["arrow"]) for each in fields(record_of(config)) if each.name in listed]
    metadata = {"huggingface": json.dumps({"info": {"features": listed}})}
    return pa.schema(columns, metadata=metadata)


def features(backgrounds: Sequence[str] | None = None, config: str = "default") -> "Features":
    """Return the columns as `datasets.Features` (imports datasets)."""
    from datasets import Features

    return Features.from_dict(feature_dict(backgrounds, config))


def feature_dict(
    backgrounds: Sequence[str] | None = None, config: str = "default", without: Collection[str] = ()
) -> dict[str, Any]:
    """Return the features in the JSON form that `datasets` writes into Parquet files, but for some columns."""
    return {
        each.name: _feature(each.metadata, backgrounds)
        for each in fields(record_of(config))
        if each.name not in without
    }


def _feature(metadata: Any, backgrounds: Sequence[str] | None) -> dict[str, Any]:
    kind = metadata["feature"]
    if kind == "image":
        return {"_type": "Image"}
    if kind == "foreground":
        return {"names": [each.name for each in classes()], "_type": "ClassLabel"}
    if kind == "background":
        return {"names": list(backgrounds or background_names()), "_type": "ClassLabel"}
    return _value(metadata["arrow"])


def _value(arrow: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(arrow):
        return {arrow.field(i).name: _value(arrow.field(i).type) for i in range(arrow.num_fields)}
    names = {pa.float32(): "float32", pa.bool_(): "bool"}
    return {"dtype": names.get(arrow, str(arrow)), "_type": "Value"}


def feature_yaml(backgrounds: Sequence[str] | None = None, config: str = "default") -> list[dict[str, Any]]:
    """Return the features in the form that a Hub card's `dataset_info` uses."""
    return [{"name": name, **_yaml(each)} for name, each in feature_dict(backgrounds, config).items()]


def _yaml(feature: dict[str, Any]) -> dict[str, Any]:
    kind = feature.get("_type")
    if kind == "Image":
        return {"dtype": "image"}
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}}
    return {"struct": [{"name": name, **_yaml(each)} for name, each in feature.items()]}


def columns_table(backgrounds: int = len(BACKGROUNDS)) -> str:
    """Return the columns as a Markdown table: name, type, meaning."""
    kinds = {"image": "Image", "foreground": "ClassLabel (1000)", "background": f"ClassLabel ({backgrounds})"}
    rows: list[list[Markup]] = []
    for each in fields(Record):
        kind = kinds.get(each.metadata["feature"]) or _type_name(each.metadata["arrow"])
        rows.append([Markup(cell) for cell in (f"`{each.name}`", kind, each.metadata["doc"])])
    return markdown_table(["column", "type", "what"], rows, numbers=False)


def _type_name(arrow: pa.DataType) -> str:
    feature = _value(arrow)
    return feature["dtype"] if "dtype" in feature else "{" + ", ".join(feature) + "}"
