"""Input files of a report: recognised by their fields, results labelled and divided from control sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json

from benchmark.reports.sections import Measured
from benchmark.schemas import result as results
from benchmark.schemas.experiments import Attributed, Correlation, Probed, Reading, Sweep
from benchmark.schemas.identity import Identity, identity, labels
from benchmark.schemas.result import Chain, Dataset, Result, beside
from d3s_dataset.errors import ResultError

# A field that no other kind of file has.
_KINDS = {"metrics": Result, "readings": Probed, "pairing": Correlation, "points": Sweep, "steps": Chain,
          "attributions": Attributed}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Given:
    """All that a report is about; one of the first four is not empty.

    `attributed` says where models look, each with its label.
    """

    measured: Sequence[Measured] = ()
    probed: Sequence[Probed] = ()
    correlations: Sequence[Correlation] = ()
    sweeps: Sequence[Sweep] = ()
    attributed: Sequence[tuple[str, Attributed]] = ()

    def facts(self) -> Dataset:
        """Return the images that the report is about: the results', else those of the first of the others."""
        if self.measured:
            return divide(self.measured)[0][0].result.dataset
        if self.probed:
            return self.probed[0].dataset
        return [*self.correlations, *self.sweeps][0].datasets[1]


def read(paths: Sequence[Path]) -> Given:
    """Read files of any kind, in any order; the predictions are next to the results.

    A chain of `benchmark.score` adds nothing: its content is computed anew from the results that it is of.

    Raises:
        ResultError: a file is missing, cannot be read, is of none of these kinds, or a chain without its results.
    """
    found = {path: read_any(path) for path in paths}
    measured = {path: each for path, each in found.items() if isinstance(each, Result)}
    there = [identity(each.model, each.dataset) for each in measured.values()]
    for path, each in found.items():
        if isinstance(each, Chain) and any(identity(each.model, dataset) not in there for dataset in each.datasets):
            raise ResultError(f"{path} is computed from results on control sets: expected them too, all of its model's")
    return Given(
        (known := _measured(measured)),
        _merged([each for each in found.values() if isinstance(each, Probed)]),
        [each for each in found.values() if isinstance(each, Correlation)],
        [each for each in found.values() if isinstance(each, Sweep)],
        [_looked(path, each, known) for path, each in found.items() if isinstance(each, Attributed)],
    )


def _looked(path: Path, each: Attributed, measured: Sequence[Measured]) -> tuple[str, Attributed]:
    """Return an attribution with the label of the result that it belongs to."""
    own = identity(each.model, each.dataset)
    for one in measured:
        # The result may be of another precision: attributions are computed in fp32.
        same = one.result.model.model_copy(update={"precision": each.model.precision})
        if identity(same, one.result.dataset) == own:
            return one.label, each
    raise ResultError(f"{path} says where {each.model.name} looks: expected the model's result on the same images too")


def read_any(path: Path) -> Result | Probed | Correlation | Sweep | Chain | Attributed:
    """Read a file of one of six kinds.

    Raises:
        ResultError: in one line, the file and what is wrong with it.
    """
    content = results.content_of(path)
    try:
        fields = from_json(content)
    except ValueError as error:
        raise ResultError(f"{path} cannot be read as a result: {error}") from None
    kind = next((kind for name, kind in _KINDS.items() if isinstance(fields, dict) and name in fields), None)
    if kind is None:
        raise ResultError(
            f"{path} is nothing that a report shows: expected a JSON file that benchmark.run, benchmark.probe, "
            "benchmark.correlate, benchmark.sweep or benchmark.score wrote"
        )
    return results.parse(kind, content, str(path))


def _measured(found: dict[Path, Result]) -> list[Measured]:
    named = labels([each.model for each in found.values()])
    return [
        Measured(label, result, beside(path, result, "a report"))
        for label, (path, result) in zip(named, found.items(), strict=True)
    ]


def _merged(probed: Sequence[Probed]) -> list[Probed]:
    """Return probes with the erasers of files that hold the same readings of the same model together."""
    answer: list[Probed] = []
    for each in probed:
        same = [i for i, one in enumerate(answer) if _read_from(one) == _read_from(each)]
        if not same:
            answer.append(each)
            continue
        known = answer[same[0]]
        more = [one for one in each.erasure if one not in known.erasure]
        notes = dict.fromkeys([*known.notes, *each.notes])
        answer[same[0]] = known.model_copy(update={"erasure": [*known.erasure, *more], "notes": list(notes)})
    return answer


def _read_from(probed: Probed) -> tuple[Identity, list[Reading]]:
    return identity(probed.model, probed.dataset), probed.readings


def divide(measured: Sequence[Measured]) -> tuple[list[Measured], list[Measured]]:
    """Return the results on the images that the report is about, and those on control sets.

    The report is about `default` where a result is on it, else about `guides`, else about the first result's config.

    Raises:
        ResultError: results on other releases or splits, or a model twice.
    """
    if not measured:
        return [], []
    configs = [each.result.dataset.config for each in measured]
    config = next((each for each in ("default", "guides") if each in configs), configs[0])
    about = [each for each in measured if each.result.dataset.config == config]
    facts = about[0].result.dataset
    for each in about:
        other = each.result.dataset
        if (other.digest, other.split) != (facts.digest, facts.split):
            raise ResultError(
                f"expected results on the same images: {about[0].label} has {facts.name}, {facts.split} (digest "
                f"{facts.digest[:8]}), {each.label} has {other.name}, {other.split} (digest {other.digest[:8]})"
            )
    named = [each.label for each in about]
    twice = next((label for label in named if named.count(label) > 1), None)
    if twice:
        raise ResultError(f"expected each model once, got {twice} twice on config {config}")
    return about, [each for each in measured if each not in about]
