"""Small Stable Diffusion XL and 3 with random weights, built from configs: the real diffusers paths, no download."""

from pathlib import Path
from typing import Any

from tests.support.tiny_sd import TINY, _tokenizer, _vocabulary


def build_xl(folder: Path) -> Path:
    """Write a Stable Diffusion XL image-to-image pipeline; return its folder."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline, UNet2DConditionModel

    words = _words(folder)
    first, second = (_encoder(words, projected) for projected in (False, True))
    unet = UNet2DConditionModel(
        **TINY["unet"] | {"cross_attention_dim": 64, "attention_head_dim": (2, 4), "use_linear_projection": True},
        addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                       steps_offset=1, timestep_spacing="leading")  # fmt: skip
    pipe = StableDiffusionXLImg2ImgPipeline(
        vae=AutoencoderKL(**TINY["vae"]), text_encoder=first, text_encoder_2=second, tokenizer=words, unet=unet,
        tokenizer_2=words, scheduler=scheduler, requires_aesthetics_score=False, add_watermarker=False,
    )  # fmt: skip
    return _save(pipe, folder)


def build_3(folder: Path) -> Path:
    """Write a Stable Diffusion 3 image-to-image pipeline; its third encoder reads the letters of the others."""
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Img2ImgPipeline,
    )
    from transformers import T5Config, T5EncoderModel

    words = _words(folder)
    transformer = SD3Transformer2DModel(
        sample_size=32, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=64, out_channels=4,
    )  # fmt: skip
    vae = AutoencoderKL(**TINY["vae"], use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06)
    first, second = (_encoder(words, True) for _ in range(2))
    third = T5EncoderModel(T5Config(vocab_size=len(words), d_model=64, d_ff=37, d_kv=8, num_layers=1, num_heads=4))
    pipe = StableDiffusion3Img2ImgPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae, text_encoder=first,
        tokenizer=words, text_encoder_2=second, tokenizer_2=words, text_encoder_3=third, tokenizer_3=words,
    )  # fmt: skip
    return _save(pipe, folder)


def _words(folder: Path) -> Any:
    _vocabulary(folder / "source")
    return _tokenizer(folder / "source")


def _encoder(words: Any, projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(vocab_size=len(words), max_position_embeddings=77, bos_token_id=0, eos_token_id=1,
                            pad_token_id=1, projection_dim=32, **TINY["text"])  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _save(pipe: Any, folder: Path) -> Path:
    pipe.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"
