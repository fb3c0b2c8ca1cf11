"""Replay: rounds give the verdicts of all votes, for every rule, on real and simulated votes, with fewer votes."""

import pytest

from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.rounds import Rule
from tests.support.replay import ballots, real, replay, simulated, study, verdicts

PLANS = ((1, 1, 1, 1, 1), (3, 2))
RULES = (Rule("paper"), Rule("full"), Rule("majority"), Rule("majority", 2), Rule("majority", 1, "no"))


@pytest.mark.parametrize("plan", PLANS, ids=["one-by-one", "3+2"])
@pytest.mark.parametrize("accuracy", [0.6, 0.97])
def test_rounds_give_the_verdicts_of_all_votes(accuracy, plan):
    crowd = simulated(120, accuracy, NAMES)
    careless = frozenset(f"w{number}" for number in range(4))
    for rule in RULES:
        found = replay(crowd, plan, rule)
        assert found.differing == 0
        assert found.saved > 0
        assert replay(crowd, plan, rule, careless).differing == 0  # excluded after the first wave


@pytest.mark.parametrize("plan", PLANS, ids=["one-by-one", "3+2"])
def test_rounds_give_the_verdicts_of_all_real_votes(shared_data, plan):
    crowd = real((shared_data / "votes" / "labels.txt").read_text(), 250)
    found = [replay(crowd, plan, rule) for rule in RULES]
    assert [each.differing for each in found] == [0] * len(RULES)
    assert all(each.saved > 0 for each in found)


def test_three_votes_alone_would_give_other_verdicts():
    crowd, rule = simulated(120, 0.6, NAMES), Rule("majority")
    held = study(crowd, (3, 2), rule)
    given = [(item, list(people)) for item, people in crowd.items()]
    first, every = (
        verdicts(held, [v for item, people in given for w in people[:most] for v in ballots(crowd, w, [item])], rule)
        for most in (3, 5)
    )
    assert first != every
