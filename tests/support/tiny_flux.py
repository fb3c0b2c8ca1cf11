"""Small FLUX and Qwen-Image-Edit pipelines with random weights, built from configs: the real diffusers paths."""

import json
from pathlib import Path
from typing import Any

from tests.support.tiny_others import _encoder, _save, _words
from tests.support.tiny_sd import TINY

_CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.;:'-() ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PADDED = 512  # letters of a prompt


def build_kontext(folder: Path) -> Path:
    """Write a FLUX.1 Kontext pipeline; return its folder."""
    from diffusers import FluxKontextPipeline

    return _save(FluxKontextPipeline(**_flux(folder)), folder)


def build_fill(folder: Path) -> Path:
    """Write a FLUX.1 Fill pipeline, which inpaints: 16 channels of noise, 16 of image and 16 of the mask's pixels."""
    from diffusers import FluxFillPipeline

    return _save(FluxFillPipeline(**_flux(folder, in_channels=16 + 16 + 4 * 4, out_channels=16)), folder)


def build_flux(folder: Path) -> Path:
    """Write a FLUX.1 pipeline of text to image, whose parts inpaint too."""
    from diffusers import FluxPipeline

    return _save(FluxPipeline(**_flux(folder)), folder)


def build_klein(folder: Path, distilled: bool = True) -> Path:
    """Write a FLUX.2 [klein] pipeline; its text encoder has the 28 layers that the pipeline reads from."""
    from diffusers import AutoencoderKLFlux2, Flux2KleinPipeline, Flux2Transformer2DModel
    from transformers import Qwen3Config, Qwen3ForCausalLM

    words = _qwen_words(folder)
    encoder = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=28, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=_PADDED,
    ))  # fmt: skip
    transformer = Flux2Transformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, timestep_guidance_channels=256, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    vae = AutoencoderKLFlux2(
        **TINY["vae"] | {"layers_per_block": 1, "latent_channels": 4, "sample_size": 64}, batch_norm_eps=1e-4,
        use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    pipe = Flux2KleinPipeline(scheduler=_flow(), vae=vae, text_encoder=encoder, tokenizer=words,
                              transformer=transformer, is_distilled=distilled)  # fmt: skip
    return _save(pipe, folder)


def _flux(folder: Path, **channels: int) -> dict[str, Any]:
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    words = _words(folder)
    transformer = FluxTransformer2DModel(**{
        "patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
        "num_attention_heads": 2, "joint_attention_dim": 32, "pooled_projection_dim": 32, "axes_dims_rope": (4, 4, 8),
        "guidance_embeds": True, **channels,
    })  # fmt: skip
    vae = AutoencoderKL(**TINY["vae"], use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06,
                        scaling_factor=1.5)  # fmt: skip
    letters = T5Config(vocab_size=len(words), d_model=32, d_ff=37, d_kv=8, num_layers=1, num_heads=4)
    return {"scheduler": _flow(), "vae": vae, "text_encoder": _encoder(words, False), "tokenizer": words,
            "text_encoder_2": T5EncoderModel(letters), "tokenizer_2": words, "transformer": transformer}  # fmt: skip


def _flow() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)


def _qwen_words(folder: Path) -> Any:
    """Return Qwen's tokenizer with a vocabulary of bytes, which writes a chat as its bare text."""
    from transformers import Qwen2TokenizerFast

    source = folder / "source"
    source.mkdir(parents=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]
    tokens = [*special, *(letter.replace(" ", "Ġ") for letter in _LETTERS)]
    (source / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    words = Qwen2TokenizerFast.from_pretrained(source, pad_token="<|endoftext|>", unk_token="<|endoftext|>")
    words.add_tokens(special, special_tokens=True)
    words.chat_template = _CHAT
    return words


def build_qwen(folder: Path) -> Path:
    """Write a Qwen-Image-Edit pipeline, which reads the image together with the prompt."""
    from diffusers import AutoencoderKLQwenImage, QwenImageEditPipeline, QwenImageTransformer2DModel
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
    )
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    words = _qwen_words(folder)
    marks = {"image": "image_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    tokens = {f"{name}_token_id": words.convert_tokens_to_ids(f"<|{mark}|>") for name, mark in marks.items()}
    text = {"vocab_size": len(words), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048,
            "bos_token_id": 0, "eos_token_id": 0,
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]}}  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
              "fullatt_block_indexes": [0]}  # fmt: skip
    encoder = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens))
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
                                 latents_mean=[0.0] * 4, latents_std=[1.0] * 4)  # fmt: skip
    pictures = Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=56 * 56)
    pipe = QwenImageEditPipeline(scheduler=_flow(), vae=vae, text_encoder=encoder, tokenizer=words,
                                 processor=Qwen2VLProcessor(pictures, words, Qwen2VLVideoProcessor()),
                                 transformer=transformer)  # fmt: skip
    return _save(pipe, folder)


def build_pix2pix(folder: Path) -> Path:
    """Write an InstructPix2Pix pipeline: Stable Diffusion 1 with four channels more, those of the image."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel

    words = _words(folder)
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae=AutoencoderKL(**TINY["vae"]), text_encoder=_encoder(words, False), tokenizer=words,
        unet=UNet2DConditionModel(**TINY["unet"] | {"in_channels": 8}), scheduler=DDIMScheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    return _save(pipe, folder)
