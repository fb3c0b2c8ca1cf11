"""Small vision-language models with random weights, built from configs: the real code without a download."""

from pathlib import Path
from typing import Any

from generation.screening.vlm import QUESTIONS

SIDE = 32
_CHAT = (
    "{% for message in messages %}{{ message['role'] }} : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)
_SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_WORDS = ("yes", "Yes", "no", "No", "user", "assistant", ":", "?", ".", ",")


def build_llava(folder: Path, words: tuple[str, ...] = _WORDS) -> Path:
    """Write a LLaVA: a CLIP that sees, a Llama that answers; return the folder.

    Args:
        folder: an empty folder.
        words: that its tokenizer knows, whole, besides those of the questions.
    """
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    words_of = _tokenizer(words)
    seeing = {"vision_feature_select_strategy": "default"}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_SMALL, image_size=SIDE, patch_size=8, initializer_factor=10.0),
        text_config=LlamaConfig(**_text(words_of)),
        image_token_id=words_of.convert_tokens_to_ids("<image>"),
        **seeing,
    )
    processor = LlavaProcessor(
        _pictures(), words_of, patch_size=8, num_additional_image_tokens=1, chat_template=_CHAT, **seeing
    )
    return _save(folder, LlavaForConditionalGeneration, config, processor)


def build_qwen(folder: Path) -> Path:
    """Write a Qwen2-VL, whose images are of any size and whose positions have three axes."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    image, video, start, end = special = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    words = _tokenizer(_WORDS, image, special)
    axes = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    text = {**_text(words), "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": words.eos_token_id}
    config = Qwen2VLConfig(
        text_config={**text, "rope_parameters": axes},
        vision_config={"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8,
                       "initializer_range": 0.5},
        **{f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in
           (("image", image), ("video", video), ("vision_start", start), ("vision_end", end))},
    )  # fmt: skip
    looks = Qwen2VLImageProcessor(patch_size=8, min_pixels=256, max_pixels=4096)
    chat = _CHAT.replace("<image>", start + image + end)
    processor = Qwen2VLProcessor(looks, words, Qwen2VLVideoProcessor(patch_size=8), chat_template=chat)
    return _save(folder, Qwen2VLForConditionalGeneration, config, processor)


def build_idefics(folder: Path) -> Path:
    """Write an Idefics3, the architecture of SmolVLM, which sees an image as tiles."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    special = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles]
    words = _tokenizer(_WORDS, "<image>", tuple(special))
    config = Idefics3Config(
        text_config={**_text(words), "model_type": "llama"},
        vision_config={**_SMALL, "image_size": SIDE, "patch_size": 8},
        scale_factor=2, image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=words.pad_token_id,
    )  # fmt: skip
    looks = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": SIDE})
    processor = Idefics3Processor(looks, words, image_seq_len=4, chat_template=_CHAT)
    return _save(folder, Idefics3ForConditionalGeneration, config, processor)


def _text(words: Any) -> dict[str, Any]:
    return {**_SMALL, "vocab_size": len(words), "pad_token_id": words.pad_token_id, "initializer_range": 0.5}


def _tokenizer(words: tuple[str, ...], image: str = "<image>", special: tuple[str, ...] = ("<image>",)) -> Any:
    """Return a tokenizer of whole words: those of the questions, but for yes and no, and these."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    from d3s_dataset.taxonomy import BACKGROUNDS, classes

    names = [*(each.phrase for each in BACKGROUNDS), *(each.synonym for each in classes())]
    text = " ".join([*QUESTIONS.values(), *names])
    known = dict.fromkeys(["<unknown>", "<pad>", "<end>", *special, *words])
    for word, _ in Whitespace().pre_tokenize_str(text):
        if word not in ("yes", "no"):
            known.setdefault(word)
    fast = Tokenizer(WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unknown>"))
    fast.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="<unknown>", pad_token="<pad>", eos_token="<end>",
        additional_special_tokens=list(special), extra_special_tokens={"image_token": image},
    )  # fmt: skip


def _pictures() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def _save(folder: Path, kind: Any, config: Any, processor: Any) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind(config).save_pretrained(folder / "vlm", safe_serialization=True)
    processor.save_pretrained(folder / "vlm")
    return folder / "vlm"
