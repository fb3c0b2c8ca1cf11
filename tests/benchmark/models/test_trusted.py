"""A model name from a file loads weights, never code or a folder."""

import pytest

from benchmark.models.registry import name_from_data
from d3s_dataset.errors import ModelError


@pytest.mark.parametrize(
    "name",
    ["resnet50", "convnext_base.fb_in22k_ft_in1k", "hf-hub:timm/resnet50.a1_in1k", "transformers:google/vit-base",
     "zero-shot:openai/clip-vit-base-patch32", "hf-hub:timm/resnet50.a1_in1k@v1.0",
     "packaged:tf_efficientnet_lite0"],
)  # fmt: skip
def test_names_of_published_weights_pass(name):
    assert name_from_data(name, "r.json") == name


@pytest.mark.parametrize(
    "name",
    ["os:system", "mymod.sub:fn", "local-dir:/etc", "local-dir:model", "transformers:/tmp/x", "transformers:../x",
     "zero-shot:~/x", "zero-shot:./x", "hf-hub:../x", "hf-hub:a/../../x", "", "resnet50\n",
     "../resnet50", ":resnet50", "packaged:../x", "packaged:/etc/x", "packaged:a/b", "packaged:", "resnet\u202e50"],
)  # fmt: skip
def test_code_and_folders_are_refused(name):
    with pytest.raises(ModelError, match=r"r\.json names the model .*typed as --model"):
        name_from_data(name, "r.json")
