"""Results of probes as text: rows for tables anywhere, and all of it for a terminal. Needs no torch."""

from collections.abc import Sequence

from benchmark.reports.text import between, grid, percent, points, ratio
from benchmark.schemas.experiments import Erasure, Kept, Probed, Reading, Share

HEADINGS = (
    "label <- features", "probe", "cut", "n", "accuracy", "95 % interval", "chance", "majority", "control", "select.",
    "nats", "95 % interval", "of",
)  # fmt: skip
_SIDE = ("95 % interval", "control", "nats")
ERASED = (*HEADINGS[:4], "raw", *_SIDE, "erased", *_SIDE)
_NO_CONTROL = "*"


def show(found: Probed) -> str:
    """Return a result as tables and a few lines."""
    lines = [
        grid(HEADINGS, [row(each, _NO_CONTROL) for each in found.readings]),
        "nats: usable information, a lower bound, of the label's entropy. control: random labels of photos, same probe",
        f"{_NO_CONTROL} on unseen photos of the label's own kind the control is at chance by construction",
        *(_kept(each) for each in found.kept),
        *(_erasure(each) for each in found.erasure),
        *_doubts(found.readings),
        *found.notes,
    ]
    return "\n".join(lines)


def row(each: Reading, no_control: str = "-") -> tuple[str, ...]:
    """Return a reading under `HEADINGS`; `no_control` is shown where the control is at chance by construction."""
    return (
        f"{each.label} <- {each.features}",
        each.probe + " (not converged)" * (not each.converged),
        each.cut.replace("_", " "),
        str(each.n),
        percent(each.accuracy),
        between(each.ci95),
        percent(each.chance),
        percent(each.majority),
        no_control if each.control is None else percent(each.control),
        points(each.selectivity),
        ratio(each.information),
        between(each.information_ci95, ratio),
        ratio(each.entropy),
    )


def _kept(each: Kept) -> str:
    return (
        f"kept in {each.features} features: the same photo on another background is nearest for {_share(each.recall)}; "
        f"the model's own head {_share(each.head)}"
    )


def _share(each: Share | None) -> str:
    if each is None:
        return "n/a (the head is not linear in the pooled features)"
    return f"{percent(each.value)} % ({between(each.ci95)}) of {each.n}"


def _erasure(each: Erasure) -> str:
    lines = [erasure_line(each), grid(ERASED, erased_rows(each))]
    return "\n".join([*lines, f"raw: {_kept(each.raw_kept)}", f"erased: {_kept(each.erased_kept)}"])


def erasure_line(each: Erasure) -> str:
    """Return what an eraser erased, and on how many photos."""
    photos = "/".join(map(str, each.photos))
    return (
        f"{each.eraser} erases the {each.erases}: eraser, probe and test on {photos} foreground photos; "
        f"rank {each.rank} of {each.size}"
    )


def erased_rows(each: Erasure) -> list[tuple[str, ...]]:
    """Return the readings of raw and of erased features side by side, under `ERASED`."""
    pairs = zip(each.raw, each.erased, strict=True)
    return [(*row(raw)[:4], *_side(raw), *_side(erased)) for raw, erased in pairs]


def _side(each: Reading) -> tuple[str, ...]:
    control = "-" if each.control is None else percent(each.control)
    return percent(each.accuracy), between(each.ci95), control, ratio(each.information)


def _doubts(readings: Sequence[Reading]) -> list[str]:
    every = dict.fromkeys(text for each in readings for text in each.doubts)
    return [f"intervals may not cover 95 %: {'; '.join(every)}"] if every else []
