"""The paired objective: its terms by independent formulas, its order of images, and a release without pairs."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmark import train
from benchmark.models.training_record import Partition
from benchmark.training.batches import Batches, paired_order
from benchmark.training.distributed import World
from benchmark.training.objectives.pair import Pair, covariance, within
from benchmark.training.objectives.penalty import normalised, sides
from benchmark.training.objectives.registry import check_paired
from d3s_dataset.errors import ReleaseError
from tests.benchmark.conftest import jpeg, record, write_release

PARTITION = Partition(foreground=6, background=4)
PHOTO = torch.tensor([4, 4, 4, 9, 9, 7, 2, 2])  # 7 is in one image only


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=_generator())


def test_the_variance_within_photos_is_half_the_squared_distance_of_pairs():
    """A photo's sample variance is the mean of |x - y|^2 / 2 over its pairs; photos count by their freedom."""
    features = _features(8, 5)
    sums = freedom = 0.0
    for photo in (2, 4, 9):
        rows = features[photo == PHOTO].numpy()
        apart = [np.square(one - two).sum() / 2 for i, one in enumerate(rows) for two in rows[:i]]
        sums += np.mean(apart) * (len(rows) - 1)
        freedom += len(rows) - 1
    assert within(features, PHOTO).item() == pytest.approx(sums / freedom / 5, rel=1e-12)
    assert within(features, torch.arange(8)).item() == 0


def test_the_covariance_term_is_vicregs():
    """Eq. 3 by numpy's covariance; the least value of n rows of variance 1 in d features is d / (n - 1) - 1."""
    features = _features(9, 4)
    matrix = np.cov(features.numpy(), rowvar=False)
    off = sum(matrix[i, j] ** 2 for i in range(4) for j in range(4) if i != j)
    assert covariance(features).item() == pytest.approx(off / 4, rel=1e-12)
    orthogonal, _ = torch.linalg.qr(_features(9, 4) - _features(9, 4).mean(0))
    assert covariance(orthogonal).item() == pytest.approx(0, abs=1e-3)


def test_the_penalty_is_the_sum_of_both_terms_of_both_parts_and_does_not_see_the_scale():
    features, other = _features(8, 10), torch.tensor([1, 2, 3, 1, 2, 1, 1, 3])
    labels = torch.zeros(8, dtype=torch.int64)
    expected = 0.0
    for part, photo in ((features[:, :6].numpy(), PHOTO), (features[:, 6:].numpy(), other)):
        scores = (part - part.mean(0)) / part.std(0)
        matrix = np.cov(scores, rowvar=False)
        several = [scores[photo == each] for each in set(photo.tolist()) if (photo == each).sum() > 1]
        squares = sum(((rows - rows.mean(0)) ** 2).sum() for rows in several)
        expected += squares / sum(len(rows) - 1 for rows in several) / part.shape[1]
        expected += (np.square(matrix).sum() - np.square(np.diag(matrix)).sum()) / part.shape[1] ** 2
    for scale in (1.0, 1e-3):
        both = sides(PARTITION, scale * features, labels, labels, torch.stack([PHOTO, other]))
        assert Pair(PARTITION, (2, 2), 0)(both, 3.0, 0.5)[0].item() == pytest.approx(3 * expected, rel=1e-4)


def test_what_is_the_photos_alone_costs_nothing_and_what_is_not_costs_its_share():
    own, other = torch.arange(8).repeat_interleave(8), torch.arange(8).repeat(8)
    shown = normalised(_features(8, 5)[own])
    assert within(shown, own).item() == pytest.approx(0, abs=1e-12)
    assert within(normalised(_features(8, 5)[other]), own).item() == pytest.approx(8 / 7, rel=1e-6)


def _grid(photos: int, places: int) -> torch.Tensor:
    return torch.stack(torch.meshgrid(torch.arange(photos), torch.arange(places), indexing="ij")).reshape(2, -1)


def test_batches_of_a_full_grid_are_grids():
    """12 photos on 8 backgrounds in batches of 4 x 4: every image once, 4 of each photo of either kind."""
    sources = _grid(12, 8)[:, torch.randperm(96, generator=_generator())]
    orders = [paired_order(sources, 4, _generator(seed)) for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert sorted(orders[0].tolist()) == list(range(96))
    for rows in orders[0].tensor_split(6):
        for photos in sources[:, rows]:
            assert torch.unique(photos, return_counts=True)[1].tolist() == [4, 4, 4, 4]


def test_photos_that_share_few_backgrounds_still_meet():
    """300 photos, each on 10 of 200 backgrounds: more images in pairs of either kind than in random batches."""
    chosen = [torch.randperm(200, generator=_generator(each))[:10] for each in range(300)]
    sources = torch.stack([torch.arange(300).repeat_interleave(10), torch.cat(chosen)])
    together = [_paired(sources, paired_order(sources, 8, _generator())), _paired(sources, torch.randperm(3000))]
    assert together[0][0] > 0.9 > 0.4 > together[1][0]
    assert together[0][1] > together[1][1]


def _paired(sources: torch.Tensor, order: torch.Tensor) -> list[float]:
    """Return the share of images that have another of their foreground and of their background photo in the batch."""
    found = [[], []]
    for rows in order.split(64):
        for kind, photos in enumerate(sources[:, rows]):
            _, index, count = torch.unique(photos, return_inverse=True, return_counts=True)
            found[kind] += (count[index] > 1).tolist()
    return [float(np.mean(each)) for each in found]


def _batches(world: World, seed: int = 3) -> Batches:
    sources = _grid(12, 8)
    pixels = torch.arange(96, dtype=torch.uint8)[:, None, None, None].expand(96, 3, 4, 4).contiguous()
    options = {"batch_size": 16, "per_photo": 4, "size": 4, "seed": seed}
    return Batches(pixels, sources[0] % 5, sources[1] % 3, sources, torch.arange(96), None, world=world, **options)


def test_two_processes_see_the_halves_of_one_batch_and_the_photos_of_all_of_it():
    whole, *halves = (_batches(world) for world in (World(), World(0, 2), World(1, 2)))
    device = torch.device("cpu")
    for one, *two in zip(*(each.epoch(0, device) for each in (whole, *halves)), strict=True):
        assert torch.equal(torch.cat([each.views for each in two]), one.views)
        assert all(torch.equal(each.sources, one.sources) for each in two)
        assert torch.equal(one.foreground, one.sources[0] % 5)
        assert torch.equal(one.background, one.sources[1] % 3)


def test_an_epoch_goes_on_in_the_middle():
    whole, device = _batches(World()), torch.device("cpu")
    sources = [each.sources for epoch in range(2) for each in whole.epoch(0, device)]
    part = _batches(World())
    for place, _ in enumerate(part.epoch(0, device)):
        if place == 2:
            break
    again = _batches(World(), seed=99)
    again.load(part.state())
    rest = [each.sources for each in again.epoch(3, device)] + [each.sources for each in again.epoch(0, device)]
    assert all(torch.equal(one, two) for one, two in zip(sources[3:], rest, strict=True))


def test_a_release_without_pairs_is_refused_in_one_line(tmp_path, fails):
    """Each photo in one image; and in two images on the same background photo."""
    rng = np.random.default_rng(0)

    def rows(first: int) -> list:
        pictures = [jpeg(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)) for _ in range(40)]
        return [
            record(first + i, each, (1, 7)[i % 2], i % 10, foreground_source=f"f{i}", background_source=f"b{i}")
            for i, each in enumerate(pictures)
        ]

    lonely = write_release(tmp_path / "d3s", {"train": rows(0), "validation": rows(100)})
    on = ["--model", "test_resnet", "--objective", "pair", "--dataset", str(lonely)]
    says = "no foreground photo of the training images stands on two background photos, whose features pair compares"
    assert says in fails(train.main, [*on, "--image-size", "32", "--out", str(tmp_path / "model")])
    assert not (tmp_path / "model").exists()
    with pytest.raises(ReleaseError, match="stands on two background photos"):
        check_paired("pair", np.array([0, 0, 1, -1, -1]), np.array([5, 5, 6, 5, 6]))
    check_paired("pair", np.array([0, 0]), np.array([5, 6]))
    check_paired("hsic", np.array([0, 1]), np.array([5, 6]))


def test_a_network_learns_to_ignore_the_background_that_its_photos_stand_on():
    """A linear map of (photo, background) directions: with the penalty its first part varies less within photos."""
    own, other = _grid(20, 12)
    directions = torch.randn(32, 16, generator=_generator())
    rows = directions[own] + directions[20 + other] + 0.1 * torch.randn(240, 16, generator=_generator(1))
    left = [_within_after(weight, rows, torch.stack([own, other])) for weight in (0.0, 10.0)]
    assert left[1] < 0.5 * left[0]


def _within_after(weight: float, rows: torch.Tensor, sources: torch.Tensor) -> float:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        neck, head, penalty = nn.Linear(16, PARTITION.size), nn.Linear(6, 20), Pair(PARTITION, (20, 12), 0)
    optimizer = torch.optim.Adam([*neck.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(150):
        both = sides(PARTITION, neck(rows), *sources, sources)
        loss = nn.functional.cross_entropy(head(both[0].features), sources[0]) + penalty(both, weight, 0.0)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return within(normalised(neck(rows)[:, :6]), sources[0]).item()
