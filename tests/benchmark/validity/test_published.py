"""The shipped accuracies are timm's, each a whole number of images; whole tables are read; families are stated."""

import csv
from importlib.resources import files

import numpy as np
import pytest
import timm

from benchmark.models.specs import read_list
from benchmark.validity.families import family_of
from benchmark.validity.published import SETS, read_folder, shipped
from d3s_dataset.errors import ResultError

# Images of each set: an accuracy is a whole number of them, so that a mistyped digit shows.
IMAGES = {
    "imagenet": 50_000, "imagenet-real": 46_837, "imagenetv2": 10_000, "sketch": 50_889, "imagenet-r": 30_000,
    "imagenet-r-clean": 10_000, "imagenet-a": 7_500, "imagenet-a-clean": 10_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_a_published_accuracy_is_a_whole_number_of_images(name):
    percent = 100 * np.array(list(shipped().top1[name].values()))
    assert len(percent) >= 69
    nearest = np.round(percent * IMAGES[name] / 100) / IMAGES[name] * 100
    assert np.abs(nearest - percent).max() < 0.0011  # three decimals, that of a difference of two for the baselines


def test_the_table_states_source_commit_and_licence():
    text = files("benchmark.validity").joinpath("timm.csv").read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert "Apache-2.0" in head[0]
    for name in ("real", "v2", "sketch", "-r", "-a"):
        assert any(name in line and len(line.split()[-1]) == 40 for line in head), name


def test_the_lists_name_published_models():
    published = shipped()
    assert {each.name for each in read_list("realism")} == set(published.models)
    paper = [each.name for each in read_list("paper") if not each.name.startswith("zero-shot:")]
    assert set(paper) <= set(published.models)
    assert set(published.models) <= set(timm.list_pretrained())


def test_a_copy_of_timm_s_folder_gives_the_same_numbers(tmp_path):
    published = shipped()
    for name, each in SETS.items():
        with (tmp_path / each.file).open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["model", "top1", "top1_err", "param_count"])
            table.writerows(
                [model, f"{100 * top1:.3f}", "", "1,013.01"] for model, top1 in published.top1[name].items()
            )
    found = read_folder(tmp_path)
    assert found.top1 == {name: pytest.approx(each) for name, each in published.top1.items()}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no file at .*results-imagenet.csv: expected timm's results/, with the columns model and top1"),
        ("name,top1\na,1\n", "cannot be read as a table of timm"),
        ("model,top1\na,many\n", "cannot be read as a table of timm"),
        ("model,top1\na,120\n", "top1 '120' is no percentage"),
        ("model,top1\na\n", "cannot be read as a table of timm"),
    ],
)
def test_another_table_is_one_line(tmp_path, content, expected):
    if content is not None:
        for each in SETS.values():
            (tmp_path / each.file).write_text(content)
    with pytest.raises(ResultError, match=expected) as caught:
        read_folder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (
            "resnet50.a1_in1k resnetv2_50x1_bit.goog_in21k_ft_in1k wide_resnet50_2 tv_resnet34 seresnet50 resnetrs50",
            "resnet",
        ),
        ("resnext50_32x4d ig_resnext101_32x8d seresnext50_32x4d", "resnext"),
        ("tf_efficientnet_b0.ap_in1k efficientnetv2_s tf_efficientnet_lite0.in1k", "efficientnet"),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k flexivit_base vit_base_patch16_clip_224.openai", "vit"),
        ("convnext_base convnextv2_tiny.fcmae_ft_in1k", "convnext"),
        ("swin_tiny_patch4_window7_224 swinv2_tiny_window8_256", "swin"),
        ("deit_base_patch16_224 deit3_base_patch16_224.fb_in1k", "deit"),
        ("beit_base_patch16_224 beitv2_base_patch16_224", "beit"),
        ("inception_v3 inception_resnet_v2.tf_ens_adv_in1k gluon_inception_v3", "inception"),
        ("mobilenetv2_100 mobilenetv3_large_100 tf_mobilenetv3_small_100", "mobilenet"),
        ("regnetx_002 regnety_032.ra_in1k", "regnet"),
        ("vgg16_bn vgg19", "vgg"),
        ("mobilevit_s mobilevitv2_100", "mobilevit"),
        ("legacy_xception.tf_in1k xception65", "xception"),
        ("densenet121", "densenet"),
    ],
)
def test_a_family_is_a_line_of_architectures(names, family):
    assert {family_of(name) for name in names.split()} == {family}


def test_every_architecture_of_timm_has_a_family():
    every = {family_of(name) for name in timm.list_models()}
    assert all(name.isidentifier() for name in every)
    assert len(every) < len(timm.list_models()) / 5
    assert len({family_of(name) for name in shipped().models}) == 34
