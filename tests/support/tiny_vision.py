"""Small vision networks with random weights, built from configs: the real transformers code without a download."""

from pathlib import Path
from typing import Any

_VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "image_size": 32}


def build_dino(folder: Path) -> Path:
    """Write a DINOv2."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    size = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}
    return _save(folder, Dinov2Model(Dinov2Config(**_VIT, mlp_ratio=2)), BitImageProcessor(**size))


def build_vit(folder: Path) -> Path:
    """Write a ViT, whose pooler nobody needs."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(**_VIT, intermediate_size=32)
    return _save(folder, ViTModel(config, add_pooling_layer=False), ViTImageProcessor(size={"height": 32, "width": 32}))


def build_convnext(folder: Path) -> Path:
    """Write a ConvNeXt, whose features are a map."""
    from transformers import ConvNextConfig, ConvNextImageProcessor, ConvNextModel

    config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, patch_size=4)
    return _save(folder, ConvNextModel(config), ConvNextImageProcessor(size={"shortest_edge": 32}))


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
