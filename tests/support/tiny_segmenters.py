"""Small segmentation models with random weights, built from configs: the real transformers code without a download."""

from pathlib import Path
from typing import Any


def build_background_removal(folder: Path) -> Path:
    """Write a SegFormer with one output channel: where the object is."""
    return _segformer(folder, 1)


def build_semantic(folder: Path) -> Path:
    """Write a SegFormer of three classes."""
    return _segformer(folder, 3)


def build_sam(folder: Path) -> Path:
    """Write a SAM with its processor."""
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 64, "patch_size": 8, "mlp_dim": 16, "num_pos_feats": 8, "window_size": 4,
              "global_attn_indexes": [0]}  # fmt: skip
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
               "iou_head_hidden_dim": 16}  # fmt: skip
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder))
    pictures = SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    return _save(folder, model, SamProcessor(pictures))


def build_universal(folder: Path) -> Path:
    """Write an EoMT, which gives segments with scores."""
    from transformers import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor

    config = EomtConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
                        num_queries=1, num_blocks=1, num_upscale_blocks=1, num_register_tokens=0,
                        num_labels=3)  # fmt: skip
    model = EomtForUniversalSegmentation(config)
    model.class_predictor.bias.data[0] = 100  # sure of its class: post-processing drops segments below 0.8
    return _save(folder, model, EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True))


def _segformer(folder: Path, labels: int) -> Path:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    config = SegformerConfig(num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16],
                             patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
                             decoder_hidden_size=16, num_labels=labels)  # fmt: skip
    pictures = SegformerImageProcessor(size={"height": 32, "width": 32})
    return _save(folder, SegformerForSemanticSegmentation(config), pictures)


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder / "segmenter", safe_serialization=True)
    processor.save_pretrained(folder / "segmenter")
    return folder / "segmenter"
