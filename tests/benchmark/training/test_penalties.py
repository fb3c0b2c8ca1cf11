"""Each penalty against closed forms or brute force, and on a small problem that it can solve."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.models.training_record import Partition
from benchmark.training.objectives.adversarial import RENEW, Adversary, ramp, reverse
from benchmark.training.objectives.hsic import Dependence, gaussian, hsic, normalised_hsic, same
from benchmark.training.objectives.penalty import normalised, sides
from benchmark.training.objectives.registry import OBJECTIVES
from benchmark.training.objectives.wasserstein import Wasserstein, critic, distance, gradient_penalty

PARTITION = Partition(foreground=6, background=4)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_gradient_penalty_of_a_linear_critic_is_known():
    """A linear score has the same gradient everywhere: its weights."""
    score = nn.Linear(5, 1)
    first, second = torch.randn(2, 7, 5)
    found = gradient_penalty(score, first, second, _generator())
    assert found.item() == pytest.approx((score.weight.norm().item() - 1) ** 2, rel=1e-5)


def test_the_gradient_penalty_is_that_of_differences():
    """Against central differences at the same points, for a critic that is not linear."""
    score = critic(3).double()
    first, second = torch.randn(2, 4, 3, dtype=torch.float64)
    share = torch.rand(4, 1, generator=_generator(5))
    between, step = share * first + (1 - share) * second, 1e-6
    slopes = [(score(between + move) - score(between - move)) / (2 * step) for move in torch.eye(3) * step]
    expected = ((torch.cat(slopes, 1).norm(dim=1) - 1) ** 2).mean()
    assert gradient_penalty(score, first, second, _generator(5)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_trained_critic_finds_the_distance_of_two_shifted_clouds():
    """The Wasserstein distance between a cloud and its copy shifted by a vector is that vector's length."""
    shift, score, generator = torch.tensor([2.0, -1.0, 0.0]), critic(3), _generator()
    optimizer = torch.optim.Adam(score.parameters(), lr=2e-3, betas=(0.0, 0.9))
    for _ in range(400):
        first, second = torch.randn(64, 3) + shift, torch.randn(64, 3)
        loss = -distance(score, first, second) + 10 * gradient_penalty(score, first, second, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    cloud = torch.randn(20000, 3)
    assert distance(score, cloud + shift, cloud).item() == pytest.approx(shift.norm().item(), rel=0.15)


def _unbiased_by_sums(first: np.ndarray, second: np.ndarray) -> float:
    """The U-statistic itself: a mean over all ordered quadruples of different points (Song et al., eq. 4)."""
    quadruples = list(itertools.permutations(range(len(first)), 4))
    terms = [first[i, j] * (second[i, j] + second[q, r] - second[i, q] - second[j, r]) for i, j, q, r in quadruples]
    return float(np.mean(terms))


def test_hsic_is_the_u_statistic_over_all_quadruples():
    features, labels = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 2, 2, 0])
    kernels = gaussian(features), same(labels).double()
    expected = _unbiased_by_sums(*(each.numpy() for each in kernels))
    assert hsic(*kernels).item() == pytest.approx(expected, abs=1e-12)


def test_normalised_hsic_is_that_sum_over_the_root_of_both_with_themselves():
    features, labels = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 2, 2, 0])
    first, second = gaussian(features), same(labels).double()
    top, one, two = (
        _unbiased_by_sums(*(each.numpy() for each in pair))
        for pair in ((first, second), (first, first), (second, second))
    )
    assert normalised_hsic(first, second).item() == pytest.approx(top / math.sqrt(one * two), abs=1e-9)
    assert normalised_hsic(second, second).item() == pytest.approx(1)
    assert normalised_hsic(first, torch.eye(7, dtype=torch.float64)).item() == 0  # no two labels are the same


@pytest.mark.parametrize("width", [4, 32, 450])
def test_a_label_in_one_of_many_features_costs_the_same(width):
    """Ten labels almost without noise in one of `width` features of variance 1, 256 images, mean of two draws.

    One kernel of the median width over all features: 0.0106, 0.0011 and 0.00009.
    """
    wide = Partition(foreground=width, background=4)
    penalty = Dependence(wide, (2, 10), 0)
    costs = []
    for _ in range(2):
        labels, features = torch.randint(0, 10, (256,)), torch.randn(256, width + 4)
        empty = penalty(sides(wide, features, labels % 2, labels), 1.0, 0.0)[1].item()
        features[:, 0] = normalised((labels + 0.01 * torch.randn(256))[:, None])[:, 0]
        costs.append(penalty(sides(wide, features, labels % 2, labels), 1.0, 0.0)[1].item() - empty)
    assert 0.1 < np.mean(costs) < 0.5


def test_critics_of_normalised_parts_do_not_see_the_scale_and_those_of_the_paper_do():
    features, labels = torch.randn(16, PARTITION.size), (torch.arange(16) % 3, torch.arange(16) % 5)
    for critic_input, same_for_both in (("normalised", True), ("raw", False)):
        measured = []
        for scale in (1.0, 100.0):
            torch.manual_seed(0)
            penalty = Wasserstein(PARTITION, (3, 5), 0, 1, 1e-3, critic_input)
            measured.append(penalty(sides(PARTITION, scale * features, *labels), 1.0, 1.0)[1].item())
        assert (measured[0] == pytest.approx(measured[1], rel=1e-3)) == same_for_both


def test_readers_are_re_initialised_in_turn_and_a_single_one_never():
    features, labels = torch.randn(16, PARTITION.size), (torch.arange(16) % 3, torch.arange(16) % 5)
    both = sides(PARTITION, features, *labels)
    for count in (3, 1):
        penalty = Adversary(PARTITION, (3, 5), 0, readers=count)
        changed = []
        for _ in range(3 * RENEW):
            before = [each.clone() for each in penalty.readers.parameters()]
            penalty.learn(both)
            now = [not torch.equal(*each) for each in zip(before, penalty.readers.parameters(), strict=True)]
            changed += [place for place, each in enumerate(now[: 4 * count : 4]) if each]
        assert changed == ([1, 2, 0] if count > 1 else [])


def test_the_papers_reversal_is_a_single_reader_of_raw_features():
    features, labels = torch.randn(16, PARTITION.size), (torch.arange(16) % 3, torch.arange(16) % 5)
    penalty = Adversary(PARTITION, (3, 5), 0, readers=1, critic_input="raw")
    both = sides(PARTITION, features, *labels)
    expected = sum(
        nn.functional.cross_entropy(next(iter(heads))(side.features), side.other).item()
        for heads, side in zip(penalty.readers, both, strict=True)
    )
    assert penalty(both, 1.0, 1.0)[1].item() == pytest.approx(expected, rel=1e-6)


def test_hsic_is_about_zero_for_what_is_independent_and_far_above_for_what_is_not():
    labels = torch.randint(0, 5, (400,))
    noise = torch.randn(400, 8)
    apart, dependent = (hsic(gaussian(each), same(labels)).item() for each in (noise, noise + 2 * labels[:, None]))
    assert abs(apart) < 5e-3
    assert dependent > 10 * abs(apart)


def test_the_gaussian_kernel_does_not_see_the_scale():
    features = torch.randn(20, 4, dtype=torch.float64)
    torch.testing.assert_close(gaussian(features), gaussian(1000 * features))
    gaps = torch.cdist(features, features)[~torch.eye(20, dtype=torch.bool)]
    assert gaussian(features)[0, 1].item() == pytest.approx(
        math.exp(-((torch.dist(features[0], features[1]) ** 2) / (gaps**2).median()).item()), rel=1e-6
    )


def test_reversal_passes_values_and_turns_gradients():
    features = torch.randn(3, 2, requires_grad=True)
    passed = reverse(features, 0.5)
    assert torch.equal(passed, features)
    (passed * torch.tensor([1.0, 2.0])).sum().backward()
    torch.testing.assert_close(features.grad, torch.tensor([-0.5, -1.0]).expand(3, 2))
    assert (ramp(0), ramp(1)) == (0, pytest.approx(1, abs=1e-4))


def test_readers_learn_while_the_network_unlearns():
    """One step along the same gradient: the readers' loss falls by their step, and rises by the network's."""
    penalty = Adversary(PARTITION, (3, 5), 0)
    features = torch.randn(40, PARTITION.size, requires_grad=True)
    labels = torch.randint(0, 3, (40,)), torch.randint(0, 5, (40,))

    def loss() -> torch.Tensor:
        return penalty(sides(PARTITION, features, *labels), 1.0, 1.0)[0]

    start = loss()
    start.backward()
    with torch.no_grad():
        for each in penalty.joint():
            each -= 0.05 * each.grad
        taught = loss().item()
        for each in penalty.joint():
            each += 0.05 * each.grad
        features -= 0.5 * features.grad
    assert taught < start.item() < loss().item()


@pytest.mark.parametrize(
    "name",
    ["wasserstein", "hsic", *(pytest.param(each, marks=pytest.mark.long) for each in ("adversarial", "mine", "club"))],
)
def test_each_objective_lowers_its_own_penalty(name):
    """A linear map of features that hold both labels: its own label stays readable in each part."""
    weights = {"wasserstein": 1.0, "adversarial": 3.0, "hsic": 3.0, "mine": 3.0, "club": 1.0}
    weight, better = weights[name], 1 if name == "adversarial" else -1
    steps = 300 if name == "adversarial" else 80  # its ramp needs time
    plain, held = _solve(name, 0.0, steps), _solve(name, weight, steps)
    # Readers that were just re-initialised leave less room above.
    assert held.penalty * better > plain.penalty * better + (0.2 if better > 0 else 0.3) * abs(plain.penalty)
    assert min(held.own) > 0.9
    if name in ("hsic", "mine", "adversarial"):  # a fresh reader finds less, too
        assert held.other < plain.other - 0.15


def _solve(name: str, weight: float, steps: int) -> SimpleNamespace:
    """Train a linear map under a penalty; return the penalty on fresh rows, and what least squares reads there."""
    torch.manual_seed(0)
    objective = OBJECTIVES[name]
    assert objective.make is not None
    critics = {"critic_steps": 4, "critic_rate": 1e-3} if objective.critic_steps else {}
    penalty = objective.make(PARTITION, (4, 4), 0, **critics)
    neck, heads = nn.Linear(8, PARTITION.size), nn.ModuleList([nn.Linear(6, 4), nn.Linear(4, 4)])
    optimizer = torch.optim.Adam([*neck.parameters(), *heads.parameters(), *penalty.joint()], lr=2e-2)
    for step in range(steps):
        features, *labels = _both(64)
        both = sides(PARTITION, neck(features), *labels)
        penalty.learn(both)
        loss, _ = penalty(both, weight, step / steps)
        for head, side, own in zip(heads, both, labels, strict=True):
            loss = loss + nn.functional.cross_entropy(head(side.features), own)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features, foreground, background = _both(2000)
    both = sides(PARTITION, neck(features).detach(), foreground, background)
    return SimpleNamespace(
        penalty=penalty(both, weight, 1.0)[1].item(),
        own=(_readable(both[0].features, foreground), _readable(both[1].features, background)),
        other=_readable(both[0].features, background),
    )


def _both(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features whose first half tells one label and whose second half another, chance 1 in 4."""
    labels = torch.randint(0, 4, (2, count))
    shown = torch.cat([nn.functional.one_hot(each, 4) for each in labels], 1).float()
    return 2 * shown + 0.6 * torch.randn(count, 8), *labels


def _readable(features: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the accuracy of a least-squares reader on the half of the rows that it was not fitted on."""
    scaled = (features - features.mean(0)) / features.std(0)
    design = torch.cat([scaled, torch.ones(len(scaled), 1)], 1)
    half = len(labels) // 2
    weights = torch.linalg.lstsq(design[:half], nn.functional.one_hot(labels[:half], 4).float()).solution
    return ((design[half:] @ weights).argmax(1) == labels[half:]).float().mean().item()
