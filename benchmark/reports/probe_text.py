"""Results of probes as text: rows for tables anywhere, and all of it for a terminal. Needs no torch."""

from collections.abc import Sequence

from benchmark.reports.text import between, grid, p_value, percent, points, ratio
from benchmark.schemas.experiments import Erasure, Kept, Null, Probed, Readable, Reading, Share

HEADINGS = (
    "label <- features", "probe", "cut", "n", "accuracy", "95 % interval", "chance", "majority", "control", "select.",
    "nats", "95 % interval", "of",
)  # fmt: skip
NULL = ("null", "difference", "95 % interval", "p")
READABLE = (
    "label <- features", "cut", "n", "readable", "95 % interval", "by", "upper bound", "by", *NULL, "nats to code",
    "of",
)  # fmt: skip
_SIDE = ("95 % interval", "control", "nats")
ERASED = (*HEADINGS[:4], "raw", *_SIDE, "erased", *_SIDE)
THREATS = ("with more than one vector per image", "probe", "n", "accuracy")
_NO_CONTROL = "*"


def show(found: Probed) -> str:
    """Return a result as tables and a few lines."""
    lines = [
        grid(HEADINGS, [row(each, _NO_CONTROL) for each in found.readings]),
        "nats: usable information, a lower bound, of the label's entropy. control: random labels of photos, same probe",
        f"{_NO_CONTROL} on unseen photos of the label's own kind the control is at chance by construction",
        *_readable(found),
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


def _readable(found: Probed) -> list[str]:
    if not found.readable:
        return []
    return [
        grid(READABLE, readable_rows(found)),
        "readable: the probe chosen on held-out photos; upper bound: the best on the test images themselves",
        "null: labels permuted over photos, the probe fitted anew; nats to code: online codelength per image, by LDA",
    ]


def readable_rows(found: Probed) -> list[tuple[str, ...]]:
    """Return what is readable, and the readings of single probes that have a null, under `READABLE`."""
    own = {(each.features, each.label, each.cut): each for each in found.readings if each.null}
    rows = []
    for each in found.readable:
        rows.append(readable_row(each))
        single = own.get((each.features, each.label, each.cut))
        if single and single.probe != each.probe:
            first = f"{single.label} <- {single.features}", single.cut.replace("_", " "), str(single.n)
            read = percent(single.accuracy), between(single.ci95), single.probe
            rows.append((*first, *read, "-", "-", *null_cells(single.null), "-", "-"))
    return rows


def readable_row(each: Readable) -> tuple[str, ...]:
    """Return what is readable of one label on one cut, under `READABLE`."""
    return (
        f"{each.label} <- {each.features}",
        each.cut.replace("_", " "),
        str(each.n),
        percent(each.accuracy),
        between(each.ci95),
        each.probe,
        percent(each.upper),
        each.upper_probe,
        *null_cells(each.null),
        ratio(each.codelength),
        ratio(each.uniform),
    )


def null_cells(each: Null | None) -> tuple[str, ...]:
    """Return a comparison with a null under `NULL`, in percent and points."""
    if each is None:
        return ("-",) * 4
    return percent(each.mean), points(each.difference), between(each.ci95, points), p_value(each.p)


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
    lines += [grid(THREATS, threat_rows(each))] if each.threats else []
    return "\n".join([*lines, f"raw: {_kept(each.raw_kept)}", f"erased: {_kept(each.erased_kept)}"])


def erasure_line(each: Erasure) -> str:
    """Return what an eraser erased, and on how many photos."""
    photos = "/".join(map(str, each.photos))
    return (
        f"{eraser_name(each)} erases the {each.erases}: eraser, probe and test on {photos} foreground photos; "
        f"rank {each.rank} of {each.size}"
    )


def eraser_name(each: Erasure) -> str:
    """Return an eraser with what differs from its defaults: constants, the photo as its label, unseen backgrounds."""
    constants = ", ".join(f"{name} {value:g}" for name, value in each.options.items())
    name = f"{each.eraser} ({constants})" if constants else each.eraser
    return name + " of the photo" * (each.erase_label == "photo") + ", unseen backgrounds" * (each.cut == "unseen")


def threat_rows(each: Erasure) -> list[tuple[str, ...]]:
    """Return what more than one vector per image gives away, under `THREATS`."""
    names = {"bag": "{} images of one photo", "query": "mean of {} erasures per image", "limit": "without its noise"}
    return [(names[one.access].format(one.count), one.probe, str(one.n), percent(one.accuracy)) for one in each.threats]


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
