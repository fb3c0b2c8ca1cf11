"""Sections of a recipe, with keys, defaults (the paper's values) and valid ranges."""

from functools import cache
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from d3s_dataset.identity import digest, file_digest

NO_MODEL = "none"
MOST_ROWS = 100_000_000
ModelName = Annotated[str, Field(min_length=1, max_length=1000)]
Template = Annotated[str, Field(max_length=2000)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Corner = tuple[float, float]
Part = Annotated[float, Field(ge=0, le=1)]
Place = tuple[Part, Part]


class Section(BaseModel):
    """Base class of sections: frozen, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackgroundSpec(Section):
    """A background label and its phrase in the prompt."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    phrase: Annotated[str, Field(min_length=1, max_length=500)]


class Splits(Section):
    """Division of rows and photos into splits; `single_photo` is the split of a class with a single photo.

    With 0 train rows per validation row there is no train split: a release for measuring alone.
    """

    train_rows_per_validation_row: Annotated[int, Field(ge=0, le=100)] = 5
    validation_backgrounds: Annotated[float, Field(gt=0, lt=1)] = 0.33
    single_photo: Literal["train", "validation"] = "validation"


class Prompt(Section):
    """Prompt templates with the fields {synonym}, {gloss} and {phrase}.

    `instruction` replaces `template` for models that edit by instruction (`generator.mode = "edit"`). `control` is the
    prompt, or instruction, of the config control_scale, which does not mention the background.
    """

    template: Template = "a photo of a {synonym}, {gloss}, {phrase}"
    instruction: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    control: Template = "a photo of a {synonym}, {gloss}"

    @property
    def planned(self) -> str:
        """The template of the planned prompts."""
        return self.template if self.instruction is None else self.instruction

    @model_serializer(mode="wrap")
    def _without_what_has_no_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the template that is not used."""
        unused = "instruction" if self.instruction is None else "template"
        return {name: value for name, value in handler(self).items() if name != unused}

    @model_validator(mode="after")
    def _fields_exist(self) -> "Prompt":
        for template in (self.template, self.instruction or "", self.control):
            if not _only_fields(template):
                raise ValueError(f"expected only {{synonym}}, {{gloss}} and {{phrase}}, got {template!r}")
        if "{phrase}" in self.control:
            raise ValueError(f"control: expected a sentence without {{phrase}}, got {self.control!r}")
        return self


class Controls(Section):
    """Control configs of a release, and their splits (`d3s_dataset.schema.CONFIGS`)."""

    configs: tuple[
        Literal["guides", "control_scale", "control_scale_guides", "control_original", "control_original_guides"], ...
    ] = Field(default=(), max_length=5)
    splits: Annotated[tuple[Literal["train", "validation"], ...], Field(min_length=1, max_length=2)] = ("validation",)


class Guide(Section):
    """Composition of the guide from the foreground and the background photo.

    `size` is the image's side in pixels; `scale` the minimum and maximum side of the pasted square as a share of it,
    drawn at random, as is its place. In their stead `sizes` and `places` are grids: each photo meets each of them, and
    every size each place. A place is (x, y) of the room that the square leaves, as in CSS's `background-position`:
    (0.5, 0.5) is the centre, (0, 0) the top left corner. Where there is no room all places are one.
    With background `none` the foreground photo is used alone, padded with neutral grey.
    """

    size: Annotated[int, Field(ge=32, le=4096)] = 512
    scale: tuple[Fraction, Fraction] = (0.4, 0.4)
    sizes: Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=64)] | None = None
    places: Annotated[tuple[Place, ...], Field(min_length=1, max_length=64)] | None = None
    background: Literal["photo", "none"] = "photo"

    @model_validator(mode="after")
    def _ordered(self) -> "Guide":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"expected scale = [least, greatest], got {list(self.scale)}")
        if self.sizes and "scale" in self.model_fields_set:
            raise ValueError("expected scale (a range) or sizes (a grid), got both")
        for name, values in (("sizes", self.sizes), ("places", self.places)):
            if values and len(set(values)) < len(values):
                raise ValueError(f"expected {name} that differ, got {list(values)}")
        return self

    @model_serializer(mode="wrap")
    def _without_what_has_no_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out grids that there are not: plans made before they were there keep their digest and their keys."""
        fields = handler(self)
        unused = {"sizes": not self.sizes, "places": not self.places, "scale": bool(self.sizes)}
        return {name: value for name, value in fields.items() if not unused.get(name)}

    @property
    def grid(self) -> tuple[tuple[float | None, Corner | None], ...]:
        """Sizes crossed with places, None standing for a random one; where a size leaves no room, with one place."""
        return tuple(
            (share, place)
            for share in self.sizes or (None,)
            for index, place in enumerate(self.places or (None,))
            if index == 0 or self._room(share)
        )

    def _room(self, share: float | None) -> int:
        return self.size - int(self.size * (self.scale[1] if share is None else share))


class Severity(Section):
    """Ladders: a photo on a background photo at several levels, everything else being equal.

    The level is the `strength` of the generator, or the weight of the `background` photo against neutral grey: 0 is
    grey alone, 1 the photo alone.
    """

    of: Literal["strength", "background"]
    levels: Annotated[tuple[Part, ...], Field(min_length=2, max_length=64)]

    @model_validator(mode="after")
    def _ascending(self) -> "Severity":
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError(f"expected levels in ascending order, got {list(self.levels)}")
        if self.of == "strength" and not self.levels[0]:
            raise ValueError("expected strengths above 0, got 0")
        return self


class Mask(Section):
    """The segmenter that finds the objects of photos without transparency; with one, photos are pasted as cut-outs.

    `model` is the Hub id or folder of a segmentation model of transformers, or `none`.
    """

    model: ModelName = NO_MODEL
    revision: ModelName | None = None


class Generator(Section):
    """The model that makes images of guides, and its settings (`model = "none"`: the guides are the images).

    Mode `redraw` is image-to-image, as in the paper: the object is redrawn too. Mode `inpaint` makes everything but
    the object's mask anew; the object's own pixels are pasted back, blended into what is around them over `feather`
    pixels outside the mask. With `harmonise` above 0 the 16 pixels around the mask are then made once more, at that
    strength, and fade into the rest; the object stays as it is. Mode `edit` gives the guide and `prompt.instruction` to
    a model that edits by instruction; it has no strength.
    """

    mode: Literal["redraw", "inpaint", "edit"] = "redraw"
    feather: Annotated[int, Field(ge=0, le=64)] = 4
    harmonise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    model: ModelName = NO_MODEL
    revision: ModelName | None = None
    scheduler: Annotated[str, Field(pattern=r"^\w+Scheduler$", max_length=100)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] = 50
    strength: Fraction = 0.9
    guidance_scale: Annotated[float, Field(ge=0, le=100)] = 5.0
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"

    @property
    def keeps_object(self) -> bool:
        """True if the object's pixels stay those of the guide."""
        return self.mode == "inpaint" and self.model != NO_MODEL

    @model_serializer(mode="wrap")
    def _without_what_has_no_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what only other modes have: plans made before they were there keep their digest and their keys."""
        modes = {"redraw": ("mode", "feather"), "inpaint": (), "edit": ("feather", "strength", "eta")}
        unused = (*modes[self.mode], *(() if self.harmonise else ("harmonise",)))
        return {name: value for name, value in handler(self).items() if name not in unused}

    def identified(self) -> "Generator":
        """Return the settings with a local model identified by content instead of path."""
        return self.model_copy(update={"model": identified(self.model)})


class Screen(Section):
    """Scorers of finished images, and the limits under which an image fails (`generation.screening.checks`).

    `clip` is the Hub id or folder of a CLIP model, or `none`; `safety` runs the pipeline's safety checker. `vlm` is the
    Hub id or folder of a vision-language model, whose opinion is recorded and fails nothing; `features` that of a
    vision model such as facebook/dinov2-base, in whose features an object with a mask is compared with its guide.
    These score redrawn images only. All of 200 ImageNet photos, 30 background photos and 600 guides made of them pass
    the default limits; blank, black and burnt-out images fail them.
    """

    clip: ModelName = NO_MODEL
    vlm: ModelName = NO_MODEL
    features: ModelName = NO_MODEL
    safety: bool = True
    min_contrast: Annotated[float, Field(ge=0, le=127.5)] = 8.0
    max_clipped: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_clip_foreground: Annotated[float, Field(ge=0, le=1)] = 0.0
    min_clip_background: Annotated[float, Field(ge=0, le=1)] = 0.0
    duplicate_bits: Annotated[int, Field(ge=0, le=8)] = 2

    @model_serializer(mode="wrap")
    def _without_what_has_no_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a model that there is not: plans made before the key was there keep their digest and keys."""
        newer = ("vlm", "features")
        return {name: value for name, value in handler(self).items() if name not in newer or value != NO_MODEL}

    def identified(self) -> "Screen":
        """Return the settings with local models identified by content instead of path."""
        models = {"clip": self.clip, "vlm": self.vlm, "features": self.features}
        return self.model_copy(update={name: identified(model) for name, model in models.items()})


class ImageFile(Section):
    """Image file format."""

    format: Literal["jpeg", "png"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 95


class Drawn(Section):
    """Size of the drawn sample: foregrounds per class, and templates per background."""

    instances: Annotated[int, Field(ge=2, le=10_000)]
    templates: Annotated[int, Field(ge=2, le=10_000)]


def _only_fields(template: str) -> bool:
    """Return whether a template contains only the three plain fields, without widths or attributes."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return False
    return all(
        name is None or (name in ("synonym", "gloss", "phrase") and not width and not conversion)
        for _, name, width, conversion in parts
    )


def identified(model: str) -> str:
    """Return a local model folder as `name@content digest`; any other name unchanged."""
    folder = Path(model)
    if model == NO_MODEL or not folder.is_dir():
        return model
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = tuple((path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return f"{folder.resolve().name}@{_held(folder, stats)[:12]}"


@cache  # hash gigabytes once per process
def _held(folder: Path, stats: tuple[tuple[str, int, int], ...]) -> str:
    return digest([[name, file_digest(folder / name)] for name, _, _ in stats])
