"""A recipe: everything that decides what a release looks like, as one TOML file.

Recipes that ship lie in `recipes/` and are named by their stem (`--recipe paper`); any other is named by its
path. A recipe with an unknown key or a value out of range is refused in one line (RecipeError).
"""

import difflib
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from d3s_dataset.errors import RecipeError
from d3s_dataset.identity import digest, file_digest
from d3s_dataset.taxonomy import BACKGROUNDS

NO_MODEL = "none"
Fraction = Annotated[float, Field(gt=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackgroundSpec(_Strict):
    """A background label and the phrase that the prompt uses for it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phrase: Annotated[str, Field(min_length=1)]


class Splits(_Strict):
    """How rows and photos are divided; `single_photo` is the split of a class that has one photo only."""

    train_rows_per_validation_row: Annotated[int, Field(ge=1, le=100)] = 5
    validation_backgrounds: Annotated[float, Field(gt=0, lt=1)] = 0.33
    single_photo: Literal["train", "validation"] = "validation"


class Prompt(_Strict):
    """The sentence that the generator is given; fields {synonym}, {gloss} and {phrase}."""

    template: str = "a photo of a {synonym}, {gloss}, {phrase}"

    @model_validator(mode="after")
    def _fields_exist(self) -> "Prompt":
        try:
            self.template.format(synonym="", gloss="", phrase="")
        except (KeyError, IndexError, ValueError):
            raise ValueError(f"expected only {{synonym}}, {{gloss}} and {{phrase}}, got {self.template!r}") from None
        return self


class Guide(_Strict):
    """How the photo of the object is put on the background photo.

    `size` is the image's side in pixels; `scale` the least and greatest side of the pasted square as a share of it.
    With background `none` the foreground photo stands alone, on neutral grey where it leaves room.
    """

    size: Annotated[int, Field(ge=32, le=4096)] = 512
    scale: tuple[Fraction, Fraction] = (0.4, 0.4)
    background: Literal["photo", "none"] = "photo"

    @model_validator(mode="after")
    def _ordered(self) -> "Guide":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"expected scale = [least, greatest], got {list(self.scale)}")
        return self


class Generator(_Strict):
    """The image-to-image model and its settings (`model = "none"`: the guides are the images)."""

    model: str = NO_MODEL
    revision: str | None = None
    scheduler: Annotated[str, Field(pattern=r"^\w+Scheduler$")] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] = 50
    strength: Fraction = 0.9
    guidance_scale: Annotated[float, Field(ge=0, le=100)] = 5.0
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"

    def identified(self) -> "Generator":
        """Return the settings with a local model named by what it holds, `name@digest`, in place of where it lies."""
        folder = Path(self.model)
        if self.model == NO_MODEL or not folder.is_dir():
            return self
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        held = digest([[path.relative_to(folder).as_posix(), file_digest(path)] for path in files])
        return self.model_copy(update={"model": f"{folder.resolve().name}@{held[:12]}"})


class ImageFile(_Strict):
    """How images are stored."""

    format: Literal["jpeg", "png"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 95


class Drawn(_Strict):
    """How many foregrounds a class, and templates a background, the drawn sample has."""

    instances: Annotated[int, Field(ge=2)]
    templates: Annotated[int, Field(ge=2)]


class Recipe(_Strict):
    """Everything that decides what a release looks like (module docstring)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    kind: Literal["d3s", "sample", "shift"]
    description: Annotated[str, Field(min_length=1)]
    rows: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    backgrounds: Annotated[tuple[BackgroundSpec, ...], Field(min_length=1)] = tuple(
        BackgroundSpec(name=each.name, phrase=each.phrase) for each in BACKGROUNDS
    )
    drawn: Drawn | None = None
    splits: Splits = Splits()
    prompt: Prompt = Prompt()
    guide: Guide = Guide()
    generator: Generator = Generator()
    image: ImageFile = ImageFile()

    @model_validator(mode="after")
    def _possible(self) -> "Recipe":
        names, size, least = set(self.background_names()), self.guide.size, self.guide.scale[0]
        problems = {
            "two backgrounds share a name": len(names) < len(self.backgrounds),
            "[drawn] has only D3S's ten backgrounds": self.drawn and names - {each.name for each in BACKGROUNDS},
            "kind 'sample' is for drawn recipes: expected [drawn]": self.kind == "sample" and not self.drawn,
            f"guide.scale {least} of {size} pixels is less than one pixel": int(size * least) < 1,
            f"guide.size {size}: a generator needs a multiple of 8": self.diffuses and size % 8,
            "generator.steps x generator.strength is less than one step": self.diffuses
            and self.generator.steps * self.generator.strength < 1,
        }
        for text, found in problems.items():
            if found:
                raise ValueError(text)
        return self

    @property
    def diffuses(self) -> bool:
        """Whether a model redraws the guides."""
        return self.generator.model != NO_MODEL

    @property
    def release_kind(self) -> str:
        """What a release of this recipe is called: its kind, or `guides` where nothing redraws photos."""
        return self.kind if self.diffuses or self.kind == "sample" else "guides"

    def background_names(self) -> list[str]:
        """Return the names of the background labels, in label order."""
        return [each.name for each in self.backgrounds]

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a release records it: nothing in it depends on where files lie."""
        recorded = self.model_copy(update={"generator": self.generator.identified()})
        return recorded.model_dump(mode="json")

    def changed(self, rows: int | None = None, model: str | None = None) -> "Recipe":
        """Return the recipe with another number of rows or another model, where one is given."""
        generator = self.generator
        if model is not None and model != generator.model:
            generator = generator.model_copy(update={"model": model, "revision": None})
        return self.model_copy(update={"rows": rows or self.rows, "generator": generator})


def shipped() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = files("generation").joinpath("recipes")
    return sorted(Path(each.name).stem for each in folder.iterdir() if each.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """Read a shipped recipe by its name, or any recipe by its path; raises RecipeError with one line."""
    try:
        if name in shipped():
            text = files("generation").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
    except OSError:
        raise RecipeError(f"no recipe {name!r}: expected {', '.join(shipped())}, or the path of a TOML file") from None
    except UnicodeDecodeError:
        raise RecipeError(f"recipe {name} is no text: expected a TOML file") from None
    return parse_recipe(text, name)


def parse_recipe(text: str, name: str) -> Recipe:
    """Read a recipe from TOML text; `name` is what errors call it."""
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {name} is no valid TOML: {error}") from None
    except ValidationError as error:
        raise RecipeError(f"recipe {name}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}{_near(first['loc'])}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}, got {first['input']!r}" if where else message


def _near(location: tuple[Any, ...]) -> str:
    model: Any = Recipe
    for part in location[:-1]:
        model = getattr(model.model_fields.get(part), "annotation", None)
    known = list(getattr(model, "model_fields", {}))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else (f"; it takes {', '.join(known)}" if known else "")
