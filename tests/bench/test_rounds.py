"""`make bench`: votes that rounds save, by replay of 5,000 real votes and of simulated crowds, as a Markdown table."""

import pytest

from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.rounds import Rule
from tests.support.replay import real, replay, simulated

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
