"""What a verification takes: answers, hours, money. Arithmetic on what was asked for, not a measurement."""

from dataclasses import dataclass

from generation.verify.prepare.questions import QUESTIONS


@dataclass(frozen=True)
class Terms:
    """What is assumed.

    Attributes:
        pay: for one task, in whatever currency.
        fee: what the crowd's owner takes on top, in per cent.
        seconds: that one image takes.
    """

    pay: float = 1.0
    fee: float = 20.0
    seconds: int = 8


def estimate(tasks: int, items: int, workers: int, terms: Terms) -> list[str]:
    """Return what it takes, in lines for a person.

    Args:
        tasks: number of tasks.
        items: what they hold together, known pairs included.
        workers: people an image.
        terms: pay, fee, seconds. Where nobody is paid, no cost is told.
    """
    sittings, hours = tasks * workers, items * terms.seconds / 3600
    minutes, paid = 60 * hours / tasks, tasks * workers * terms.pay
    work = f"{sittings:,} sittings ({tasks:,} tasks x {workers} people), {items * workers * len(QUESTIONS):,} answers"
    time = (
        f"at {terms.seconds} s an image {minutes:.1f} minutes a task, {hours:,.1f} hours for each of "
        f"{workers} people who do all of it, {hours * workers:,.1f} hours together"
    )
    cost = (
        f"at {terms.pay:.2f} a task {paid:,.2f}, with a fee of {terms.fee:g} % {paid * (1 + terms.fee / 100):,.2f} "
        f"(a worker earns {60 * terms.pay / minutes:.2f} an hour)"
    )
    return [f"work: {work}", f"time: {time}", *([f"cost: {cost}"] if terms.pay else [])]
