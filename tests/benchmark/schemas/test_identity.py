"""One identity of a result: names of files, joins and labels hold all of it."""

import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.erasers import ERASERS
from benchmark.reports.text import describe
from benchmark.schemas.identity import LONGEST, check_chain, identity, labels, stem
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.atomic import replacing
from tests.support.results import dataset, model

MODELS = [
    model(),
    model("resnet18.a1_in1k"),
    model(digest="abcdef0123456789"),
    model(kwargs={"pad_type": "same"}),
    model(kwargs={"pad_type": "", "drop_rate": 0.5}),
    model(precision="bf16"),
    model(transform={"crop_pct": 0.875}),
]
DATASETS = [
    dataset(),
    dataset(release="e" * 64),
    dataset(digest="d" * 64),
    dataset(config="control_scale"),
    dataset(split="train"),
    dataset(split="validation[:9]", n=9),
    dataset(split="validation[:10]", n=10),
]


def test_two_results_that_differ_in_any_part_have_two_names():
    every = list(itertools.product(MODELS, DATASETS))
    names = {stem(*each) for each in every}
    assert len(names) == len(every) == len({identity(*each) for each in every})
    assert len({stem(model(), dataset(), *settings) for settings in ((), (0,), (1,), (1, ["linear"]))}) == 4


def test_what_does_not_change_the_numbers_changes_no_name():
    same = stem(model(), dataset())
    assert stem(model(tag=None, checkpoint="w.safetensors"), dataset(revision="abc", verified_fraction=0.5)) == same
    assert stem(model(transform={"size": (3, 4)}), dataset()) == stem(model(transform={"size": [3, 4]}), dataset())
    tuples, lists = ([stem(model(kwargs={"depths": kind([2, 2])}), dataset())] for kind in (tuple, list))
    assert tuples == lists


@pytest.mark.parametrize(
    ("made", "images", "expected"),
    [
        (model("convnext_base"), dataset(), "convnext_base--d3s-default-validation--fp32--"),
        (model("hf-hub:timm/resnet18"), dataset(), "hf-hub_timm_resnet18--d3s-default-validation--fp32--"),
        (model("a", kwargs={"pad_type": "same"}), dataset(), "a-pad_type-same--d3s-default-validation--fp32--"),
        (model(precision="bf16"), dataset(split="train[:70]"), "resnet18--d3s-default-train-first70--bf16--"),
        (model("../e vil[1],*?"), dataset(name="../d"), "e_vil_1--d-default-validation--fp32--"),
        (model("\u6a21"), dataset(config="\x1b[2J"), "_--d3s-_2J-validation--fp32--"),
    ],
)
def test_names_are_plain_to_a_shell(made, images, expected):
    assert re.fullmatch(re.escape(expected) + "[0-9a-f]{8}", stem(made, images))


@pytest.mark.parametrize("letter", ["n", "\u6a21", "["])
def test_no_name_is_too_long_with_any_of_its_suffixes(letter, tmp_path):
    long = [model("local-dir:/" + letter * 190 + end, kwargs={"pad": letter * 50}) for end in ("/mine", "/yours")]
    images = dataset(name=letter * 300, config=letter * 300, split=letter * 300 + "[:123456789]", n=123456789)
    ends = [".json", ".parquet", "-probe.json", "--rho0.123457.correlation.json", "--rho1.23457e-05.correlation.json"]
    for name in (stem(each, images) for each in long):
        for end in [*ends, *(f"-probe-{eraser}.json" for eraser in ERASERS)]:
            with replacing(tmp_path / (name + end)) as temporary:
                assert len(temporary.name.encode()) <= LONGEST
    assert stem(long[0], images) != stem(long[1], images)
    assert stem(long[0], dataset()).partition("--")[0].endswith(f"pad-{letter * 50}" if letter == "n" else "mine-pad")


# Longer than any file name, from few draws: a piece of text, repeated.
TEXT = st.builds(lambda piece, times: piece * times, st.text(max_size=8), st.integers(1, 60))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # both go by the clock of a busy machine
@given(
    name=TEXT, architecture=TEXT, checkpoint=st.none() | TEXT, value=TEXT | st.integers(),
    precision=st.sampled_from(["fp32", "bf16"]), images=TEXT, config=TEXT, split=TEXT,
    part=st.none() | st.integers(1, 10**12),
)  # fmt: skip
def test_any_name_is_plain_short_and_names_the_precision(
    name, architecture, checkpoint, value, precision, images, config, split, part
):
    first = "" if part is None else f"[:{part}]"
    made = model(name, architecture=architecture, checkpoint=checkpoint, kwargs={"a b": value}, precision=precision)
    found = stem(made, dataset(name=images, config=config, split=split + first), "setting")
    assert re.fullmatch(rf"[A-Za-z0-9._-]+--{precision}--[0-9a-f]{{8}}", found)
    assert not found.startswith((".", "-"))
    assert len(found.encode()) <= LONGEST - 60  # the rest is for what follows a stem
    if part is not None:
        assert f"first{part}--{precision}--" in found


def test_two_checkpoints_of_one_architecture_have_two_names():
    both = [
        stem(model(digest=digest, checkpoint="weights [1].pth"), dataset(split="validation[:20]"))
        for digest in ("1" * 64, "2" * 64)
    ]
    assert len(set(both)) == 2
    for each in both:
        assert re.fullmatch(r"resnet18--d3s-default-validation-first20--fp32--[0-9a-f]{8}", each)


def test_a_long_name_keeps_its_end():
    assert "folder_mine--d3s" in stem(model("local-dir:/" + "folder/" * 60 + "mine"), dataset())


def test_labels_hold_what_differs_and_nothing_else():
    assert labels([model(), model("other", tag=None)]) == ["resnet18.a1_in1k", "other"]
    pair = [model(), model(precision="bf16")]
    assert labels(pair) == ["resnet18.a1_in1k (fp32)", "resnet18.a1_in1k (bf16)"]
    pair = [model(), model(kwargs={"pad_type": "same"})]
    assert labels(pair) == ["resnet18.a1_in1k (no arguments)", "resnet18.a1_in1k (pad_type=same)"]
    assert labels([model(), model()]) == ["resnet18.a1_in1k"] * 2
    assert len(set(labels(MODELS))) == len(MODELS)


def test_configs_of_one_release_make_a_chain():
    parts = [("a", model(), dataset()), ("b", model(), dataset(config="control_scale", digest="d" * 64))]
    check_chain(parts)
    check_chain([("old", model(), dataset(release=None)), parts[1]])  # its own digest is the release's


@pytest.mark.parametrize(
    ("made", "images", "expected"),
    [
        (model(digest="9" * 16), {}, "one model (digest of the weights): a has 0123456789abcdef, b has 9999"),
        (model(kwargs={"pad": 1}), {}, 'one model (arguments): a has {}, b has {"pad": 1}'),
        (model("other"), {}, "one model: a has resnet18, b has other"),
        (model(transform={}), {}, "one model (transform)"),
        (model(precision="bf16"), {}, "one precision: a has fp32, b has bf16"),
        (model(), {"split": "validation[:9]"}, "one split: a has validation, b has validation[:9]"),
        (model(), {"release": "e" * 64}, "one release (digest): a has ffff"),
        (model(), {"release": None}, "b is of config control_scale and does not hold the digest of its release"),
        (model(), {"config": "default"}, "expected files of different configs, got default, default"),
    ],
)
def test_anything_else_makes_none(made, images, expected):
    other = dataset(**({"config": "control_scale", "digest": "d" * 64} | images))
    with pytest.raises(ResultError, match=re.escape(expected)):
        check_chain([("a", model(), dataset()), ("b", made, other)])


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("d3s", "default", None),
        ("d3s", "guides", "guides (no model has redrawn them), not D3S"),
        ("d3s", "control_original_guides", "guides (no model has redrawn them), not D3S"),
        ("d3s", "control_scale", "config control_scale, not D3S"),
        ("guides", "default", "guides (no model has redrawn them), not D3S"),
        ("sample", "default", "drawn sample, not D3S"),
        ("shift", "default", "sibling shift, not D3S"),
        ("odd", "default", "kind 'odd', not D3S"),
    ],
)
def test_what_is_not_d3s_is_described_so(kind, config, expected):
    line = describe(dataset(kind=kind, config=config))
    parts = [f"d3s ({kind}), config {config}, split validation: 40 images", *([expected] if expected else [])]
    assert line == "; ".join([*parts, "labels not human-verified"])
