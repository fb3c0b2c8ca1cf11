"""Cost estimate of a verification: answers, hours, money. Computed from the settings, not measured."""

from dataclasses import dataclass

from generation.verify.prepare.questions import QUESTIONS


@dataclass(frozen=True)
class Terms:
    """Assumptions of the estimate.

    Attributes:
        pay: payment per task, in any currency.
        fee: platform fee on top, in percent.
        seconds: seconds per image.
    """

    pay: float = 1.0
    fee: float = 20.0
    seconds: int = 8


def estimate(tasks: int, items: int, workers: int, terms: Terms, fewest: int | None = None) -> list[str]:
    """Return the estimate, one line each for work, time and cost.

    Args:
        tasks: number of tasks.
        items: number of items in all tasks, gold questions included.
        workers: annotators per image.
        terms: pay, fee, seconds. Without pay there is no cost line.
        fewest: with rounds: votes that an image needs at the least; gives a line with the bound, not an expectation.
    """
    assignments, hours = tasks * workers, items * terms.seconds / 3600
    minutes, paid = 60 * hours / tasks, tasks * workers * terms.pay
    answers = items * workers * len(QUESTIONS)
    work = f"{assignments:,} assignments ({tasks:,} tasks x {workers} annotators), {answers:,} answers"
    time = (
        f"at {terms.seconds} s per image {minutes:.1f} minutes per task, {hours:,.1f} hours per annotator who does all "
        f"tasks, {hours * workers:,.1f} hours in total"
    )
    cost = (
        f"at {terms.pay:.2f} per task {paid:,.2f}, with a fee of {terms.fee:g} % {paid * (1 + terms.fee / 100):,.2f} "
        f"(a worker earns {60 * terms.pay / minutes:.2f} per hour)"
    )
    lines = [f"work: {work}", f"time: {time}", *([f"cost: {cost}"] if terms.pay else [])]
    if fewest is None or fewest == workers:
        return lines
    bound = f"rounds: an image is decided after {fewest} of {workers} votes at the earliest: up to "
    saved = f"{100 * (1 - fewest / workers):.0f} % less than all of this ({tasks * fewest:,} assignments at the least)"
    return [*lines, bound + saved]
