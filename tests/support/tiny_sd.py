"""A small Stable Diffusion with random weights, built from configs: the real diffusers path without a download.

Its pictures mean nothing; its classes, files and arithmetic are those of Stable Diffusion 1.x.
"""

import json
from pathlib import Path
from typing import Any

TINY = {
    "text": {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4},
    "unet": {
        "sample_size": 16, "block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8,
        "cross_attention_dim": 32, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "vae": {
        "block_out_channels": (32, 64), "latent_channels": 4, "norm_num_groups": 8, "sample_size": 32,
        "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
    },
}  # fmt: skip
SD1 = {  # the sizes of Stable Diffusion 1.x
    "text": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    "unet": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "vae": {
        "block_out_channels": (128, 256, 512, 512), "latent_channels": 4, "layers_per_block": 2, "sample_size": 512,
        "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
    },
}  # fmt: skip


def build(folder: Path, seed: int = 0, sizes: dict[str, dict[str, Any]] = TINY) -> Path:
    """Write the pipeline into a folder as diffusers stores it; return the folder."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text = CLIPTextConfig(vocab_size=_vocabulary(folder / "source"), max_position_embeddings=77, bos_token_id=0,
                              eos_token_id=1, pad_token_id=1, **sizes["text"])  # fmt: skip
        unet = UNet2DConditionModel(**sizes["unet"])
        vae = AutoencoderKL(**sizes["vae"])
        encoder = CLIPTextModel(text)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                              set_alpha_to_one=False, steps_offset=1)  # fmt: skip
    pipe = StableDiffusionImg2ImgPipeline(
        vae=vae, text_encoder=encoder, tokenizer=_tokenizer(folder / "source"), unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def _vocabulary(folder: Path) -> int:
    """Write a tokenizer of single letters, as CLIP's files have it; return its size."""
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.;:'-()"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return len(tokens)


def _tokenizer(folder: Path):
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)
