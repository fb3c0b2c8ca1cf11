"""YAML front matter of a card, as read by the Hub and `datasets`."""

import re
from typing import Any

import yaml

from d3s_dataset.manifest import Manifest
from d3s_dataset.schema import feature_yaml, not_d3s

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
_GATE = {
    "extra_gated_heading": "Research use only",
    "extra_gated_prompt": "These images were made from photos that others hold rights in, ImageNet's among them. "
    "By asking for access you agree to use them for non-commercial research and education only, to keep to "
    "ImageNet's terms of access (https://image-net.org/download) and to this licence, and not to pass the files on.",
    "extra_gated_fields": {
        "Name": "text",
        "Affiliation": "text",
        "Country": "country",
        "What I will use it for": "text",
        "I agree to use it for non-commercial research and education only": "checkbox",
        "I agree to the terms of access of ImageNet": "checkbox",
    },
    "extra_gated_button_content": "Agree and ask for access",
}


def rewrite(text: str, manifest: Manifest, gated: bool) -> str:
    """Return a card with its front matter written from a manifest: sizes, features, configs; optionally the gate."""
    _, written, body = text.split("---\n", 2)
    head = yaml.safe_load(written)
    if manifest.kind == "sample":  # drawn, so none of ImageNet's photos or terms
        head.pop("source_datasets")
    if warning := not_d3s(manifest.kind):  # the Hub shows this name without the card
        head["pretty_name"] = f"{manifest.name}: {warning}"
    if manifest.verification:
        head["annotations_creators"] = ["machine-generated", "crowdsourced"]
    head |= _GATE if gated else {}
    dumped = yaml.safe_dump(head | _info(manifest), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{dumped}---\n{body}"


def _info(manifest: Manifest) -> dict[str, Any]:
    """Return `size_categories`, `dataset_info` and `configs` of the front matter, as `datasets` reads them."""
    rows = sum(shard.rows for shard in manifest.whole().shards if shard.config == "default")
    size = next((name for bound, name in _SIZES.items() if rows < bound), "10M<n<100M")
    configs = [{"config_name": c, **({"default": True} if c == "default" else {}), "data_files": _files(manifest, c)}
               for c in manifest.configs()]  # fmt: skip
    infos = [_config_info(manifest, config) for config in manifest.configs()]
    return {"size_categories": [size], "dataset_info": infos, "configs": configs}


def _files(manifest: Manifest, config: str) -> list[dict[str, str]]:
    """Return each split's files as a pattern that ends in their number, `-*-of-00003.parquet`.

    While a repo is updated, shards of a larger or smaller release are next to these: they must not be read with them.
    """
    first = {split: manifest.select(config, split)[0].path for split in manifest.splits(config)}
    return [{"split": split, "path": re.sub(r"-\d+-of-", "-*-of-", path)} for split, path in first.items()]


def _config_info(manifest: Manifest, config: str) -> dict[str, Any]:
    shards = [shard for shard in manifest.shards if shard.config == config]
    total = sum(shard.bytes for shard in shards)
    splits = [
        {
            "name": split,
            "num_bytes": sum(each.bytes for each in manifest.select(config, split)),
            "num_examples": manifest.rows(config, split),
        }
        for split in manifest.splits(config)
    ]
    return {
        "config_name": config,
        "features": feature_yaml(manifest.backgrounds, config),
        "splits": splits,
        "download_size": total,
        "dataset_size": total,
    }
