"""`make bench`: votes that rounds save, by replay of 5,000 real votes and of simulated crowds, as a Markdown table.

And the wait for an assignment where fifty annotators arrive in the same instant.
"""

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.rounds import Rule
from generation.verify.rounds.assigner import AdaptiveAssigner
from generation.verify.votes.assignments import Desk
from generation.verify.votes.seating import Arrival
from generation.verify.votes.store import Store
from generation.verify.votes.writer import Writer
from tests.support.replay import real, replay, simulated, study

pytestmark = pytest.mark.bench
PLANS = ((1, 1, 1, 1, 1), (3, 2))
RULES = {
    "majority": Rule("majority"),
    "paper": Rule("paper"),
    "full": Rule("full"),
    "dawid-skene, .99": Rule("dawid-skene", posterior=0.99),
}
ACCURACIES = (0.6, 0.7, 0.85, 0.9, 0.97)


def line(name, crowd, rules):
    cells, sums = [], dict.fromkeys(rules, 0)
    for rule in rules:
        both = [replay(crowd, plan, RULES[rule]) for plan in PLANS]
        cells.append(" / ".join(f"{100 * each.saved:.1f}" for each in both))
        wrong = [each.differing for each in both]
        if RULES[rule].name == "dawid-skene":
            cells[-1] += f" ({wrong[0]} / {wrong[1]} differ)"
        else:
            sums[rule] = sum(wrong)
    print(f"| {name} | {' | '.join(cells)} |", flush=True)
    assert not any(sums.values())


def test_votes_saved(shared_data):
    print("\nvotes saved in %, one by one / 3 + 2, of five")
    print(f"| votes | {' | '.join(RULES)} |")
    line("real", real((shared_data / "votes" / "labels.txt").read_text()), RULES)
    exact = [name for name, rule in RULES.items() if rule.name != "dawid-skene"]
    for asked in (NAMES[:1], NAMES):
        for accuracy in ACCURACIES:
            line(f"{accuracy:.2f}, {len(asked)} question(s)", simulated(1000, accuracy, asked), exact)


def test_fifty_arrivals_in_the_same_instant(tmp_path):
    """Of a study of 20,000 images nobody has begun, on SQLite; without the page's own part of a request."""
    store, people = Store(tmp_path), 50
    held = study({f"i{number}": {} for number in range(20_000)}, (3, 2), Rule("majority"))
    desk, gate = Desk(held, store, assigner=AdaptiveAssigner(held, store)), Barrier(people)
    arrivals = Writer("arrivals", desk.seat_all)

    def arrive(number):
        gate.wait()
        began = time.perf_counter()
        assert arrivals.put(Arrival(f"person:p{number}")).result()
        return time.perf_counter() - began

    with ThreadPoolExecutor(people) as pool:
        waits = list(pool.map(arrive, range(people)))
    given = [item for seat in desk.sittings() for item in desk.items(seat.task)]
    assert len(given) == people * held.per_task
    p95 = 1000 * statistics.quantiles(waits, n=20)[-1]
    print(f"\nassignment of 50 arrivals at once: median {1000 * statistics.median(waits):.0f} ms, "
          f"p95 {p95:.0f} ms, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    arrivals.close()
    store.close()
    assert p95 < 200
