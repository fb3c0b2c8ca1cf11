"""Release -> tasks folder: a random sample of images, gold questions, and the files that the page needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.identity import digest
from d3s_dataset.utils.atomic import new_folder
from d3s_dataset.utils.cli import note, warn
from generation.sources.resolve import foreground_labels, open_source
from generation.verify.prepare import tasks as files
from generation.verify.prepare.attention_checks import Pair, known_pairs
from generation.verify.prepare.images import (
    Origin,
    check_found,
    copy_examples,
    copy_pictures,
    open_release,
    save_example,
)
from generation.verify.prepare.rounds import ANNOTATORS, Rule
from generation.verify.prepare.sampling import Candidate, deal, sample, shuffled
from generation.verify.prepare.tasks import Item, Task, Tasks

_EXAMPLES = 4  # photos of a class (the paper showed four)


@dataclass(frozen=True)
class Wish:
    """Settings of `prepare`.

    Attributes:
        images: number of images; None for all.
        per_task: images per task.
        gold: gold questions per task, in addition.
        workers: annotators per image.
        rounds: annotators per round, `workers` in sum; empty for a single round.
        rule: decision rule.
        seed: random seed of the sample and its order.
        examples: folder of photos in ImageNet's layout; None crops them from the guides.
        pay: payment per task, recorded for the monitor; None where it is not known.
        fee: platform fee in percent, recorded with the pay.
    """

    images: int | None = None
    per_task: int = 25
    gold: int = 3
    workers: int = ANNOTATORS
    rounds: tuple[int, ...] = ()
    rule: Rule = Rule()
    seed: int = 0
    examples: str | None = None
    pay: float | None = None
    fee: float = 20.0


def prepare(release: Path, out: Path, wish: Wish) -> Tasks:
    """Write and return the tasks of a release; the same release and settings give the same bytes.

    Raises:
        VerifyError: `out` exists, or the release cannot be verified.
        WriteError: `out` cannot be written.
    """
    if out.exists():
        raise VerifyError(f"{out} exists already: expected --out to name a new folder (the old one may hold votes)")
    origin, rows, without = open_release(release)
    if without:
        warn(f"{without:,} validation rows have no guide and are skipped")
    with new_folder(out) as staging:
        return _fill(staging, origin, rows, wish)


def _fill(folder: Path, origin: Origin, rows: list[Candidate], wish: Wish) -> Tasks:
    chosen, drawn = sample(rows, wish.images, wish.seed)
    count = -(-len(chosen) // wish.per_task)
    pairs = known_pairs(rows, origin.manifest.backgrounds, count * wish.gold, wish.seed)
    if len(pairs) < count * wish.gold:
        note(f"the rows allow {len(pairs):,} of the requested {count * wish.gold:,} gold questions")
    release = origin.manifest.digest
    items = _items(folder / files.IMAGES, origin, chosen, pairs, f"{release}:{wish.seed}")
    real, gold = items[: len(chosen)], items[len(chosen) :]
    dealt = deal(shuffled((item.id for item in real), wish.seed, "deal"), wish.per_task)
    known = deal([item.id for item in gold], -(-len(gold) // count)) if gold else []
    tasks = []
    for number, own in enumerate(dealt):
        mixed = own + (known[number] if number < len(known) else [])
        name = digest([release, wish.seed, "task", number])[:10]
        tasks.append(Task(id=name, items=shuffled(mixed, wish.seed, "show", name)))
    made = Tasks(
        release=release,
        name=origin.manifest.name,
        drawn=drawn,
        workers=wish.workers,
        pay=wish.pay or None,
        fee=wish.fee if wish.pay else None,
        rounds=list(wish.rounds),
        rule=wish.rule,
        per_task=wish.per_task,
        gold=wish.gold,
        backgrounds=origin.manifest.backgrounds,
        examples=_examples(folder / files.IMAGES, origin, rows, items, wish.examples),
        items=sorted(items, key=lambda item: item.id),
        tasks=tasks,
    )
    files.write(folder, made)
    return made


def _items(out: Path, origin: Origin, chosen: list[Candidate], pairs: list[Pair], salt: str) -> list[Item]:
    """Write the pictures; return the items, images first, then gold questions."""
    wanted = {row.key for row in chosen} if origin.redrawn else set()
    wanted |= {key for pair in pairs for key in (pair.asked.key, pair.shown.key)}
    images = copy_pictures(origin, "default", (row.key for row in chosen), out)
    guides = copy_pictures(origin, origin.guides, wanted, out)
    check_found(guides, wanted, origin.guides)
    found = []
    for row in chosen:
        guide = guides[row.key] if origin.redrawn else None
        found.append(_item(salt, row, images[row.key], guide, row.key, {}))
    for pair in pairs:
        guide = guides[pair.asked.key] if origin.redrawn else None
        found.append(_item(salt, pair.asked, guides[pair.shown.key], guide, None, pair.expected))
    return found


def _item(
    salt: str, asked: Candidate, image: str, guide: str | None, key: str | None, expected: dict[str, str]
) -> Item:
    return Item(
        id=digest([salt, asked.key, image, guide, key, expected])[:12],
        key=key,
        image=image,
        guide=guide,
        foreground=asked.foreground,
        background=asked.background,
        expected=expected,
    )


def _examples(
    out: Path, origin: Origin, rows: list[Candidate], items: Iterable[Item], folder: str | None
) -> dict[int, list[str]]:
    wanted = {item.foreground for item in items}
    if folder is None:
        return copy_examples(origin, rows, wanted, _EXAMPLES, out)
    source = open_source(folder, foreground_labels(), "examples")
    photos = source.photos()
    return {
        label: [save_example(source.open(name, 0), out) for name in photos[label][:_EXAMPLES]]
        for label in sorted(wanted & photos.keys())
    }
