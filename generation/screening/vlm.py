"""A vision-language model as an opinion on finished images: how probable its "yes" is to a question on each label.

The opinion is recorded and decides nothing: no screen fails by it, and it is no vote.
"""

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from generation.screening.networks import complete, import_networks, loading, located, pictures, placed, recorded_name

if TYPE_CHECKING:
    import torch

QUESTIONS = {  # column -> what is asked
    "screen_vlm_object": "Does this image show a {}? Answer with one word, yes or no.",
    "screen_vlm_background": "Was this image taken {}? Answer with one word, yes or no.",
}

_YES, _NO = (
    tuple(form.format(word) for word in (each, each.title()) for form in ("{}", " {}")) for each in ("yes", "no")
)
_KIND = "a vision-language model (image-text-to-text)", "safetensors weights, processor and chat template"
_AT_ONCE = 8  # questions; one image is a thousand tokens and more


class VlmJudge:
    """Answers of a vision-language model of transformers (image-text-to-text) about an image's labels.

    A probability is that of the next token being "yes" among "yes" and "no", in the spellings that the tokenizer has as
    one token: P(yes) / (P(yes) + P(no)). Nothing is sampled or parsed.

    Args:
        model: Hub id or local folder, weights as safetensors, its processor with a chat template.
        foregrounds: foreground label -> name, `{6: "stingray"}`.
        phrases: phrase of each background label, `["on grass", ...]`.
        device: a torch device.
        dtype: type of the weights; None is float32.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: no such model, weights or words missing or not available, or the device cannot be used.
    """

    def __init__(
        self, model: str, foregrounds: Mapping[int, str], phrases: Sequence[str],
        device: str = "cpu", dtype: "torch.dtype | None" = None,
    ) -> None:  # fmt: skip
        self._torch, transformers = import_networks()
        self.device, self.dtype = device, dtype or self._torch.float32
        self._labels = dict(foregrounds), dict(enumerate(phrases))
        self._tokenizing = threading.Lock()  # fast tokenizers cannot be used by two threads at once
        with loading("screen.vlm", model, *_KIND):
            loaded, self._processor = _load(transformers, model, self.dtype)
            self._yes, self._no = (_tokens(self._processor.tokenizer, words) for words in (_YES, _NO))
        self._model = placed(loaded, device, self.dtype)
        self._last = "logits_to_keep" in inspect.signature(type(loaded).forward).parameters
        self.name = recorded_name(located(model), f"{model}@main")
        with loading("screen.vlm", model, *_KIND):
            self._chances([np.zeros((64, 64, 3), np.uint8)], ["yes or no?"])  # one that cannot answer fails now

    def __call__(
        self,
        images: Sequence[np.ndarray],
        foregrounds: Sequence[int],
        backgrounds: Sequence[int],
        masks: Sequence[np.ndarray | None] | None = None,
        guides: Sequence[np.ndarray | None] | None = None,
    ) -> list[dict[str, float | None]]:
        """Return the screen columns of a batch of images; each depends on its own image and labels only.

        Args:
            images: uint8 (height, width, 3).
            foregrounds: foreground label of each, one of the constructor's.
            backgrounds: background label of each.
            masks: not used: the model sees the whole image; `ClipJudge` takes them.
            guides: not used; `FeatureJudge` takes them.

        Returns:
            `screen_vlm_object` and `screen_vlm_background`: probability of "yes", in [0, 1]; None where the model's
            values are not finite.
        """
        found: list[dict[str, float | None]] = [{} for _ in images]
        for (column, question), names, labels in zip(
            QUESTIONS.items(), self._labels, (foregrounds, backgrounds), strict=True
        ):
            asked = [question.format(names[label]) for label in labels]
            for start in range(0, len(images), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                for columns, chance in zip(found[part], self._chances(images[part], asked[part]), strict=True):
                    columns[column] = chance if np.isfinite(chance) else None
        return found

    def _chances(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> list[float]:
        """Return P(yes) / (P(yes) + P(no)) of the next token for each image and question."""
        torch, inputs = self._torch, self._inputs(images, questions)
        places = self._torch.arange(inputs["attention_mask"].shape[1])
        lasts = (inputs["attention_mask"] * places).argmax(dim=1)  # whichever side is padded
        with torch.inference_mode():
            given = {name: self._on_device(value) for name, value in inputs.items()}
            if self._last:  # a whole vocabulary for every token of an image is gigabytes
                kept, lasts = lasts.unique(return_inverse=True)
                given["logits_to_keep"] = kept.to(self.device)
            logits = self._model(**given).logits.float().cpu()
        own = logits[torch.arange(len(lasts)), lasts]
        yes, no = (own[:, ids].logsumexp(dim=1) for ids in (self._yes, self._no))
        return (yes - no).sigmoid().tolist()

    def _inputs(self, images: Sequence[np.ndarray], questions: Sequence[str]) -> dict[str, Any]:
        turns = [
            [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": question}]}]
            for image, question in zip(pictures(images), questions, strict=True)
        ]
        with self._tokenizing:
            inputs = self._processor.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
                processor_kwargs={"padding": True},
            )  # fmt: skip
        return dict(inputs)

    def _on_device(self, value: Any) -> Any:
        if not isinstance(value, self._torch.Tensor):
            return value
        return value.to(self.device, self.dtype if value.is_floating_point() else None)


def _load(transformers: Any, model: str, dtype: Any) -> tuple[Any, Any]:
    given: dict[str, Any] = {"trust_remote_code": False}
    config = transformers.AutoConfig.from_pretrained(model, **given)
    head = transformers.AutoModelForImageTextToText
    if type(config) not in head._model_mapping or config.is_encoder_decoder:
        raise ValueError(f"it is a {config.model_type} model, which does not answer questions on images")
    loaded, report = head.from_pretrained(model, dtype=dtype, use_safetensors=True, output_loading_info=True, **given)
    complete(report)
    processor = transformers.AutoProcessor.from_pretrained(model, **given)
    if not getattr(processor, "chat_template", None):
        raise ValueError("its processor has no chat template")
    processor.tokenizer.padding_side = "right"  # no token comes after padding, and so none is changed by it
    return loaded, processor


def _tokens(tokenizer: Any, words: Sequence[str]) -> list[int]:
    """Return the ids of those spellings of a word that are one known token."""
    alone = (tokenizer.encode(word, add_special_tokens=False) for word in words)
    found = sorted({ids[0] for ids in alone if len(ids) == 1 and ids[0] != tokenizer.unk_token_id})
    if not found:
        raise ValueError(f"its tokenizer has no token for {words[0]!r}")
    return found
