"""A submission: its files, its description, and the id that is also its folder's name.

<board>/leaderboard.json                   `Rules`: which images the board is about
<board>/submissions/<id>/result.json       what benchmark.run wrote
predictions.parquet
model.json        `Description`: what the model was trained on
<board>/reproduced/<id>.json               written by the board's owner (`benchmark.board.schema`)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ValidationError

from benchmark.board.links import Paper
from benchmark.board.safe_read import LONGEST
from benchmark.schemas import result as results
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.versions import Upgrade, Versioned
from d3s_dataset.errors import ResultError
from d3s_dataset.identity import digest

FOLDER = "submissions"
DESCRIPTION, PREDICTIONS, RESULT = "model.json", "predictions.parquet", "result.json"
FILES = (DESCRIPTION, PREDICTIONS, RESULT)


def _plain(text: str) -> str:
    if len(text) > LONGEST or not text.isprintable() or set('<>&`|\\"') & set(text):
        raise ValueError(f'expected at most {LONGEST} printable characters without < > & ` | \\ "')
    return text


def _license(text: str) -> str:
    if not _LICENSE.fullmatch(text):
        raise ValueError("expected the name of a licence as the Hub or SPDX has it, such as apache-2.0 or CC-BY-NC-4.0")
    return text


_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", re.ASCII)
License = Annotated[str, AfterValidator(_license)]
Text = Annotated[str, AfterValidator(_plain)]


class Description(Versioned):
    """Facts about a model that its result lacks. `training_data`: seen beyond ImageNet; each value has its own ranking.

    `imagenet`: nothing; `web`: images or captions of the web; `d3s`: images of D3S. `supersedes` is the id of an older
    submission of the same model; `withdrawn` is the reason why this one no longer counts. `paper` is on arXiv or has a
    DOI (`links.Paper`); version 1 has none. `license` is that of the weights, as the submitter states it; version 2
    has none.
    """

    VERSION: ClassVar[int] = 3
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: fields, 2: lambda fields: fields}

    training_data: Literal["imagenet", "web", "d3s"]
    notes: Text = ""
    paper: Paper | None = None
    license: License | None = None
    supersedes: Text | None = None
    withdrawn: Text | None = None


@dataclass(frozen=True, eq=False)
class Submission:
    """A validated submission: `result` is the recomputed one."""

    id: str
    result: results.Result
    predictions: Predictions
    description: Description


def description_of(
    training_data: str, notes: str, supersedes: str | None, paper: str | None = None, license: str | None = None
) -> Description:
    """Return a description; raises ResultError where a text is too long or holds what a board does not show."""
    given = {"training_data": training_data, "notes": notes, "supersedes": supersedes, "paper": paper}
    given |= {"license": license}
    try:
        return Description.model_validate(given)
    except ValidationError as error:
        raise ResultError(results.first_wrong(error)) from None


def id_of(result: results.Result | results.Provenance) -> str:
    """Return the id: the same model on the same images has the same one. It is also the folder's name."""
    model, dataset = result.model, result.dataset
    about = {"name": model.name, "weights": model.digest, "arguments": model.kwargs}
    about |= {"images": dataset.digest, "config": dataset.config, "split": dataset.split}
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", model.name)[-60:].strip("._-")
    return f"{readable}--{digest(about)[:12]}"
