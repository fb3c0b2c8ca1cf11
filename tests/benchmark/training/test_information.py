"""MINE and CLUB against variables whose mutual information is known: from below, from above, and where it is zero."""

import math

import pytest
import torch
from torch import nn

from benchmark.models.training_record import Partition
from benchmark.training.objectives.mutual_information import (
    Club,
    Mine,
    contrastive,
    donsker_varadhan,
    log_mean_of_others,
)
from benchmark.training.objectives.penalty import Side, sides

PARTITION = Partition(foreground=2, background=2)
# Two Gaussians of variance 1 at -1 and 1, one a label: integrals to six digits.
SHIFTED, SHIFTED_CLUB = 0.336887, 1.0
CHANCE = 0.03  # of 1500 draws


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def channel() -> tuple[torch.Tensor, torch.Tensor]:
    """What a channel gives and its label, as often as it says: 4 labels, passed 7 times of 10, else any other."""
    counts = 1 + 6 * torch.eye(4, dtype=torch.int64)
    seen, label = (each.ravel() for each in torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij"))
    return (each.repeat_interleave(10 * counts.ravel()) for each in (seen, label))


LOG_RATIO = (4 * (0.1 + 0.6 * torch.eye(4, dtype=torch.float64))).log()  # log p(label | seen) / p(label)
CHANNEL = (0.7 * LOG_RATIO.diagonal().mean() + 0.3 * LOG_RATIO[0, 1]).item()  # its mutual information: 0.446 nats


def test_mine_is_the_information_at_the_exact_scores_and_below_it_at_others(channel):
    seen, label = channel
    n, none = len(seen), torch.zeros((), dtype=torch.float64)
    table = LOG_RATIO[seen][:, label]
    own = table.diagonal().exp().mean()
    rounding = torch.log((n - own) / (n - 1)).item()  # the own pairs are left out
    assert donsker_varadhan(table, none).item() == pytest.approx(CHANNEL - rounding, abs=1e-12)
    assert abs(rounding) < 5e-3
    for _ in range(20):
        other = (LOG_RATIO + torch.randn(4, 4, dtype=torch.float64))[seen][:, label]
        assert donsker_varadhan(other, none).item() < CHANNEL - 1e-2
        shifted = donsker_varadhan(other + 3, none).item()
        assert shifted == pytest.approx(donsker_varadhan(other, none).item())


def test_club_is_the_sum_of_both_divergences_where_q_is_exact(channel):
    """Information plus the divergence the other way round (their Theorem 3.1); zero where q says nothing."""
    seen, label = channel
    exact = (LOG_RATIO - math.log(4))[seen][:, label]
    reverse = -LOG_RATIO.mean().item()  # E over p(seen) p(label) of log p(label) / p(label | seen)
    assert contrastive(exact).item() == pytest.approx(CHANNEL + reverse, abs=1e-12)
    assert reverse > 0
    assert contrastive(torch.full_like(exact, -math.log(4))).item() == pytest.approx(0, abs=1e-12)


def test_the_corrected_gradient_has_the_moving_average_below():
    table, log_average = torch.randn(5, 5, dtype=torch.float64, requires_grad=True), torch.tensor(0.7).double()
    donsker_varadhan(table, log_average).backward()
    expected = -table.detach().exp() / (20 * log_average.exp())
    expected.fill_diagonal_(1 / 5)
    torch.testing.assert_close(table.grad, expected)


def test_small_batches_have_the_gradient_of_the_whole_on_average(channel):
    """Where the average is known; a batch's own mean in its place misses it. The gradient is that of scores' size."""
    seen, label = channel
    scores = 2 * LOG_RATIO
    size = torch.ones((), dtype=torch.float64, requires_grad=True)

    def slope(rows: torch.Tensor, log_average: torch.Tensor | None) -> float:
        table = size * scores[seen[rows]][:, label[rows]]
        average = log_mean_of_others(table).detach() if log_average is None else log_average
        return torch.autograd.grad(donsker_varadhan(table, average), size)[0].item()

    every = torch.arange(len(seen))
    truth = log_mean_of_others(scores[seen][:, label])
    whole = slope(every, truth)
    batches = [torch.randint(len(seen), (4,)) for _ in range(1500)]
    corrected, plain = (sum(slope(each, way) for each in batches) / len(batches) for way in (truth, None))
    assert abs(corrected - whole) < 0.3 * abs(plain - whole)


def _draw(count: int) -> tuple[Side, Side]:
    """The foreground part is shifted by the background label, the background part is noise."""
    foreground, background = torch.randint(0, 2, (2, count))
    features = torch.randn(count, PARTITION.size)
    features[:, 0] += 2 * background - 1
    return sides(PARTITION, features, foreground, background)


@pytest.mark.parametrize("kind", [Mine, Club])
def test_a_trained_bound_holds_and_is_zero_for_what_is_independent(kind):
    penalty = kind(PARTITION, (2, 2), 0, critic_steps=4, critic_rate=1e-3)
    for _ in range(50):
        penalty.learn(_draw(128))
    with torch.inference_mode():
        told, noise = penalty.bounds(penalty.tables(_draw(1500))).tolist()
    if kind is Mine:
        assert 0.85 * SHIFTED < told < SHIFTED + CHANCE
    else:
        assert told > SHIFTED
        assert told == pytest.approx(SHIFTED_CLUB, rel=0.25)
    assert abs(noise) < CHANCE


@pytest.mark.parametrize("kind", [Mine, Club])
def test_gradients_reach_the_features_and_leave_the_critics(kind):
    penalty = kind(PARTITION, (2, 2), 0, critic_steps=4, critic_rate=3e-3)
    foreground, background = torch.randint(0, 2, (2, 50))
    features = nn.Parameter(torch.randn(50, PARTITION.size))
    penalty.learn(sides(PARTITION, features, foreground, background))
    assert features.grad is None
    taught = {name: each.clone() for name, each in penalty.named_parameters()}
    for each in penalty.parameters():
        each.grad = None
    added, measured = penalty(sides(PARTITION, features, foreground, background), 3.0, 0.5)
    assert added.item() == pytest.approx(3 * measured.item())
    added.backward()
    assert all(features.grad[:, PARTITION.columns(part)].abs().sum() > 0 for part in ("foreground", "background"))
    assert all(each.grad is None and each.requires_grad for each in penalty.parameters())
    assert all(torch.equal(each, taught[name]) for name, each in penalty.named_parameters())
    with torch.no_grad():
        features -= 5 * features.grad
    assert penalty(sides(PARTITION, features, foreground, background), 3.0, 0.5)[1] < measured
