"""A small CLIP and a small safety checker with random weights, built from configs: the real code without a download."""

from pathlib import Path

import numpy as np

from tests.support.tiny_sd import _tokenizer, _vocabulary

SIDE = 32
CONCEPTS, SPECIAL = 17, 3


def build_clip(folder: Path, tokenizer: Path | None = None, seed: int = 0) -> Path:
    """Write a CLIP model with its processor as transformers stores them; return the folder.

    Args:
        folder: an empty folder.
        tokenizer: folder of a CLIP tokenizer; None is one of single letters.
        seed: of the weights.
    """
    import torch
    from transformers import CLIPModel, CLIPProcessor, CLIPTokenizer

    if tokenizer is None:
        _vocabulary(folder / "source")
    words = CLIPTokenizer.from_pretrained(tokenizer) if tokenizer else _tokenizer(folder / "source")
    text = {"vocab_size": len(words), "bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id, "max_position_embeddings": 77}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPModel(_config(text))
    model.save_pretrained(folder / "clip", safe_serialization=True)
    CLIPProcessor(_image_processor(), words).save_pretrained(folder / "clip")
    return folder / "clip"


def build_checker(seed: int = 0):
    """Return a `StableDiffusionSafetyChecker` that flags nothing, and its feature extractor."""
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        checker = StableDiffusionSafetyChecker(_config({})).eval()
        checker.concept_embeds.data = torch.randn(CONCEPTS, 16)
        checker.special_care_embeds.data = torch.randn(SPECIAL, 16)
    set_thresholds(checker, 2.0)
    return checker, _image_processor()


def set_thresholds(checker, least_cosine: float) -> None:
    """Let a checker flag what is closer than this to a concept; no cosine reaches 2, all exceed -2."""
    checker.concept_embeds_weights.data.fill_(least_cosine)
    checker.special_care_embeds_weights.data.fill_(2.0)


def pictures(n: int, seed: int = 0) -> list[np.ndarray]:
    """Return n uint8 images of noise of different brightness and colour, not all square."""
    rng = np.random.default_rng(seed)
    shapes = [(48 + 8 * (i % 2), 48, 3) for i in range(n)]
    return [(rng.random(shape) * rng.integers(40, 256, 3)).astype(np.uint8) for shape in shapes]


def _config(text: dict[str, int]):
    from transformers import CLIPConfig

    small = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision = {**small, "image_size": SIDE, "patch_size": 8}
    return CLIPConfig(text_config={**small, **text}, vision_config=vision, projection_dim=16)


def _image_processor():
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
