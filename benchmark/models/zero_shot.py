"""Zero-shot models: CLIP and SigLIP of transformers, whose classes are the embeddings of prompts.

Torch half. Prompt ensemble: Radford et al., arXiv 2103.00020, section 3.1.4; SigLIP: Zhai et al., arXiv 2303.15343.
The loss of a SigLIP model is that of a softmax over its logits, though it was trained with a sigmoid each.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from benchmark.models import prompts, text_embeddings, weights
from benchmark.models.classifier import Classifier, ready
from benchmark.models.transformers_models import check as check
from benchmark.models.transformers_models import image_processor, part, pretrained, refuse_unknown
from d3s_dataset.errors import ModelError


def load(name: str, checkpoint: Path | None, kwargs: dict[str, Any], device: torch.device | None = None) -> Classifier:
    """Load a zero-shot model with prompts of the 1000 classes.

    Args:
        name: `zero-shot:REPO_OR_FOLDER`.
        checkpoint: None.
        kwargs: `templates`: `ensemble` (without it) or `single`.
        device: where the class names are embedded; None: a GPU if there is one, else the CPU.

    Raises:
        ModelError: weights out of reach or incomplete, neither CLIP nor SigLIP, or unknown templates.
    """
    refuse_unknown(name, kwargs, known=("templates",))
    chosen = kwargs.get("templates", "ensemble")
    if chosen not in prompts.TEMPLATES:
        raise ModelError(f"--model-kwargs templates={chosen}: expected {' or '.join(prompts.TEMPLATES)}")
    kind = part(name, "AutoConfig").model_type
    if kind not in text_embeddings.PADDING:
        raise ModelError(f"{name} is a model of type {kind!r}: expected one of {', '.join(text_embeddings.PADDING)}")
    model = ready(pretrained(name, "AutoModel"))
    digest, transform = weights.digest(model), image_processor(name)
    tokenizer, templates = part(name, "AutoTokenizer"), prompts.TEMPLATES[chosen]
    vectors, told = text_embeddings.embeddings(model, tokenizer, digest, templates, device)
    return Classifier(
        name=name,
        architecture=type(model).__name__,
        tag=None,
        kwargs=kwargs,
        digest=digest,
        network=ready(ZeroShot(model, vectors)),
        transform=transform,
        preprocessing=transform.settings() | {"prompts": told},
    )


class ZeroShot(nn.Module):
    """Cosine of an image's embedding and each class's, with the model's own scale (and bias): (n, 1000) logits."""

    def __init__(self, model: Any, vectors: torch.Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("vectors", vectors)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of images, (n, 3, height, width), as `logits_per_image` of transformers would."""
        found = normalize(text_embeddings.features(self.model.get_image_features(pixel_values=images)).float(), dim=1)
        # Under autocast too: a hundred times a product of unit vectors needs more than the eight bits of bf16.
        with torch.autocast(images.device.type, enabled=False):
            logits = self.model.logit_scale.exp() * found @ self.vectors.T
        return logits + self.model.logit_bias if hasattr(self.model, "logit_bias") else logits
