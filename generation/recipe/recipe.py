"""Recipe: the complete configuration of a release, one TOML file.

Included recipes are in `recipes/` and selected by their stem (`--recipe paper`); any other by its path. An unknown key
or a value out of range is a one-line error (RecipeError).
"""

import difflib
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from d3s_dataset.errors import RecipeError, one_line, shortened
from d3s_dataset.taxonomy import BACKGROUNDS
from d3s_dataset.utils.nested import parse_toml
from generation.recipe.sections import (
    MOST_ROWS,
    NO_MODEL,
    BackgroundSpec,
    Controls,
    Drawn,
    Generator,
    Guide,
    ImageFile,
    Mask,
    Prompt,
    Screen,
    Section,
    Severity,
    Splits,
    identified,
)

_OF = "expected a model, or severity.of = 'background'"


class Recipe(Section):
    """Complete configuration of a release (module docstring)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
    kind: Literal["d3s", "sample", "shift"]
    description: Annotated[str, Field(min_length=1, max_length=10_000)]
    rows: Annotated[int, Field(ge=1, le=MOST_ROWS)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    backgrounds: Annotated[tuple[BackgroundSpec, ...], Field(min_length=1, max_length=1000)] = tuple(
        BackgroundSpec(name=each.name, phrase=each.phrase) for each in BACKGROUNDS
    )
    drawn: Drawn | None = None
    splits: Splits = Splits()
    prompt: Prompt = Prompt()
    guide: Guide = Guide()
    mask: Mask = Mask()
    controls: Controls = Controls()
    severity: Severity | None = None
    generator: Generator = Generator()
    screen: Screen = Screen()
    image: ImageFile = ImageFile()
    # No field: the description belongs to the plan's digest, so that a flag may not reword it.
    _other_generator: bool = PrivateAttr(False)

    @model_validator(mode="after")
    def _possible(self) -> "Recipe":
        names, size, least = set(self.background_names()), self.guide.size, min(self.guide.sizes or self.guide.scale)
        grid = "sizes" if self.guide.sizes else "scale"
        of, levels = (self.severity.of, self.severity.levels) if self.severity else (None, (None,))
        problems = {
            "[drawn] has exact masks: leave out [mask]": self.drawn and self.finds_masks,
            "two backgrounds share a name": len(names) < len(self.backgrounds),
            "[drawn] has only D3S's ten backgrounds": self.drawn and names - {each.name for each in BACKGROUNDS},
            "kind 'sample' is for drawn recipes: expected [drawn]": self.kind == "sample" and not self.drawn,
            f"guide.{grid} {least} of {size} pixels is less than one pixel": int(size * least) < 1,
            f"guide.size {size}: a generator needs a multiple of 8": self.diffuses and size % 8,
            "generator.steps x generator.strength is less than one step": self.diffuses
            and self.generator.mode != "edit"
            and self.generator.steps * self.strength_of(levels[0]) < 1,
            **self._harmonise_problems(),
            f"severity.of 'strength' is the generator's: {_OF}": of == "strength" and not self.diffuses,
            "severity.of 'background' needs a photo: expected guide.background 'photo'": of == "background"
            and self.guide.background == "none",
            "severity.of 'strength': generator.mode 'edit' has none: expected 'background'": of == "strength"
            and self.generator.mode == "edit",
            **self._instruction_problems(),
            "generator.eta is DDIM's: expected scheduler 'DDIMScheduler'": self.generator.eta
            and self.generator.scheduler != "DDIMScheduler",
        }
        for text, found in problems.items():
            if found:
                raise ValueError(text)
        return self

    def _harmonise_problems(self) -> dict[str, bool]:
        settings = self.generator
        return {
            "generator.harmonise is for generator.mode 'inpaint': expected 0": settings.harmonise > 0
            and settings.mode != "inpaint",
            "generator.steps x generator.harmonise is less than one step: expected 0, or more": 0
            < settings.steps * settings.harmonise
            < 1,
        }

    def _instruction_problems(self) -> dict[str, bool]:
        edits, prompt = self.generator.mode == "edit", self.prompt
        return {
            "generator.mode 'edit' follows an instruction: expected prompt.instruction, such as "
            "'put the {synonym} {phrase}'": edits and prompt.instruction is None,
            "prompt.instruction is for generator.mode 'edit': expected prompt.template": not edits
            and prompt.instruction is not None,
            "generator.mode 'edit': control_scale needs an instruction of its own, in prompt.control": edits
            and "control_scale" in self.controls.configs
            and "control" not in prompt.model_fields_set,
        }

    @property
    def finds_masks(self) -> bool:
        """True if a segmenter finds the objects of photos without transparency."""
        return self.mask.model != NO_MODEL

    @property
    def diffuses(self) -> bool:
        """True if a model redraws the guides."""
        return self.generator.model != NO_MODEL

    def strength_of(self, level: float | None) -> float:
        """Return the generator's strength at a level of severity."""
        of = self.severity.of if self.severity else None
        return level if of == "strength" and level is not None else self.generator.strength

    @property
    def cells(self) -> int:
        """Number of rows in which a photo stands on a background photo: sizes x places x levels of severity."""
        return len(self.guide.grid) * (len(self.severity.levels) if self.severity else 1)

    @property
    def summary(self) -> str:
        """One-line summary: the description, or a replacement for another generator."""
        if not self._other_generator:
            return self.description
        return f"redrawn by {self.generator.model}" if self.diffuses else "its guides alone, not redrawn by any model"

    @property
    def release_kind(self) -> Literal["d3s", "sample", "shift", "guides"]:
        """Kind of a release of this recipe: its own, or `guides` where photos are not redrawn."""
        return self.kind if self.diffuses or self.kind == "sample" else "guides"

    @model_serializer(mode="wrap")
    def _without_what_has_no_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out sections without effect: plans made before they were there keep their digest and their keys."""
        unused = {"severity": self.severity is None, "mask": not self.finds_masks}
        return {name: value for name, value in handler(self).items() if not unused.get(name)}

    def background_names(self) -> list[str]:
        """Return the names of the background labels, in label order."""
        return [each.name for each in self.backgrounds]

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as recorded in a release, independent of file locations."""
        mask = self.mask.model_copy(update={"model": identified(self.mask.model)})
        models = {"generator": self.generator.identified(), "screen": self.screen.identified(), "mask": mask}
        recorded = self.model_copy(update=models)
        return recorded.model_dump(mode="json")

    def changed(self, rows: int | None = None, model: str | None = None, clip: str | None = None) -> "Recipe":
        """Return a copy with another number of rows or other models, where given.

        Raises:
            RecipeError: severity is the strength of a generator that is taken away.
        """
        generator, screen = self.generator, self.screen
        if model is not None and model != generator.model:
            generator = generator.model_copy(update={"model": model, "revision": None})
        if clip is not None:
            screen = screen.model_copy(update={"clip": clip})
        made = self.model_copy(update={"rows": rows or self.rows, "generator": generator, "screen": screen})
        made._other_generator = self._other_generator or generator.model != self.generator.model
        if made.severity and made.severity.of == "strength" and not made.diffuses:
            raise RecipeError(f"--model none: severity.of 'strength' of recipe {self.name!r} is the generator's: {_OF}")
        return made

    def configs(self) -> list[str]:
        """Return the configs of a release; without a generator `default` holds the guides."""
        wanted = [name for name in self.controls.configs if self.redraws(name) <= self.diffuses]
        return ["default", *(name for name in wanted if self.diffuses or name != "guides")]

    def redraws(self, config: str) -> bool:
        """Return whether the images of a config are redrawn (else they are guides)."""
        return self.diffuses if config == "default" else not config.endswith("guides")


def shipped() -> list[str]:
    """Return the names of the included recipes."""
    folder = files("generation").joinpath("recipes")
    return sorted(Path(each.name).stem for each in folder.iterdir() if each.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """Load an included recipe by name, or any recipe by path; raises a one-line RecipeError."""
    try:
        if name in shipped():
            text = files("generation").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
    except OSError:
        raise RecipeError(f"no recipe {name!r}: expected {', '.join(shipped())}, or the path of a TOML file") from None
    except UnicodeDecodeError:
        raise RecipeError(f"recipe {name} is not text: expected a TOML file") from None
    return parse_recipe(text, name)


def parse_recipe(text: str, name: str) -> Recipe:
    """Parse a recipe from TOML text; `name` is used in errors."""
    try:
        return Recipe.model_validate(parse_toml(text))
    except ValidationError as error:
        raise RecipeError(f"recipe {name}: {_explain(error)}") from None
    except ValueError as error:
        raise RecipeError(f"recipe {name} is not valid TOML: {one_line(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = shortened(".".join(str(part) for part in first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}{_near(first['loc'])}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    message = shortened(first["msg"].removeprefix("Value error, "), 300)
    return f"{where}: {message}, got {shortened(repr(first['input']))}" if where else message


def _near(location: tuple[Any, ...]) -> str:
    model: Any = Recipe
    for part in location[:-1]:
        inner = get_args(model)[0] if isinstance(part, int) and get_args(model) else None
        model = inner or getattr(getattr(model, "model_fields", {}).get(part), "annotation", None)
        model = next((each for each in get_args(model) if get_origin(model) is UnionType), model)
    known = list(getattr(model, "model_fields", {}))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else (f"; it takes {', '.join(known)}" if known else "")
