"""The card of a release: `dataset_card.md` with its marked blocks and its front matter written from the manifest.

A block stands between ``<!-- d3s:begin NAME -->`` and ``<!-- d3s:end NAME -->``. No number in a card is typed by hand.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Manifest
from d3s_dataset.schema import feature_yaml, markdown_table

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
_UNVERIFIED = "Nobody has verified these images yet: labels are what was asked for, and `verified` is null."
_STATUS = {
    "d3s": "This is D3S.",
    "sample": "**Drawn sample, not D3S.** Objects and backgrounds were drawn by code, to try every tool without "
    "network, weights or photos. A figure measured on it says nothing about D3S.",
    "guides": "**Guides, not D3S.** The images are photos pasted on photos: no model has redrawn them.",
    "shift": "This is a sibling shift of D3S: its background labels are not the ten of D3S.",
}

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


def shipped_file(name: str) -> Path:
    """Return a file that lies at the project's root in a checkout, and inside the package once installed."""
    package = Path(__file__).parent
    return next(path for path in (package.parent / name, package / name) if path.is_file())


def render(manifest: Manifest, cells: Mapping[str, Mapping[str, int]], *, gated: bool = False) -> str:
    """Return a release's README.md.

    Args:
        manifest: the release's manifest.
        cells: split -> background name -> rows, counted in the shards.
        gated: add what the Hub asks a reader of a gated repo to agree to.
    """
    text = shipped_file("dataset_card.md").read_text(encoding="utf-8")
    blocks = {
        "status": f"{_STATUS[manifest.kind]} {_UNVERIFIED}",
        "load": None,
        "counts": _counts(manifest, cells),
        "columns": markdown_table(len(manifest.backgrounds)),
        "making": _making(manifest),
    }
    for name, content in blocks.items():
        text = text if content is None else replace_block(text, name, content)
    head, body = _front_matter(text)
    if manifest.kind == "sample":  # drawn, so none of ImageNet's photos or terms
        head.pop("source_datasets")
    head |= _GATE if gated else {}
    dumped = yaml.safe_dump(head | _info(manifest), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{dumped}---\n{body}"


def closed_sources(manifest: Manifest) -> str:
    """Return the names of the sources whose photos may not be passed on."""
    return " and ".join(source.name for source in manifest.sources if not source.redistribution)


def replace_block(text: str, name: str, content: str) -> str:
    """Return the text with the named block's content replaced.

    Raises:
        ReleaseError: the text has no such block, or has it twice.
    """
    begin, end = f"<!-- d3s:begin {name} -->\n", f"<!-- d3s:end {name} -->"
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    replaced, count = pattern.subn(lambda _: f"{begin}{content}\n{end}", text)
    if count != 1:
        raise ReleaseError(f"expected one block {name!r} between its d3s:begin and d3s:end marks, got {count}")
    return replaced


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def _info(manifest: Manifest) -> dict[str, Any]:
    """Return `size_categories`, `dataset_info` and `configs` of the front matter, as `datasets` reads them."""
    rows = sum(shard.rows for shard in manifest.shards if shard.config == "default")
    size = next((name for bound, name in _SIZES.items() if rows < bound), "10M<n<100M")
    configs = [{"config_name": c, **({"default": True} if c == "default" else {}), "data_files": _files(manifest, c)}
               for c in manifest.configs()]  # fmt: skip
    infos = [_config_info(manifest, config) for config in manifest.configs()]
    return {"size_categories": [size], "dataset_info": infos, "configs": configs}


def _files(manifest: Manifest, config: str) -> list[dict[str, str]]:
    """Return each split's files as a pattern that ends in their number, `-*-of-00003.parquet`.

    While a repo is updated, shards of a larger or smaller release lie beside these: they must not be read with them.
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
        "features": feature_yaml(manifest.backgrounds),
        "splits": splits,
        "download_size": total,
        "dataset_size": total,
    }


def _counts(manifest: Manifest, cells: Mapping[str, Mapping[str, int]]) -> str:
    splits = manifest.splits()
    lines = [f"| background | {' | '.join(splits)} |", "|---|" + "---:|" * len(splits)]
    for name in manifest.backgrounds:
        lines.append(f"| {name} | {' | '.join(f'{cells[split].get(name, 0):,}' for split in splits)} |")
    rows = [manifest.rows("default", split) for split in splits]
    lines.append(f"| **all** | {' | '.join(f'{n:,}' for n in rows)} |")
    plan = f"{sum(rows):,} of {manifest.planned_rows:,} planned rows were made; {len(manifest.failures):,} failed"
    return "\n".join(lines) + f"\n\n{plan} (listed in `manifest.json`)."


def _making(manifest: Manifest) -> str:
    recipe = manifest.recipe
    generator = recipe["generator"]
    lines = [
        f"- Recipe `{recipe['name']}`: {recipe['description']}. Seed {recipe['seed']}, {manifest.image_size} px, "
        f"prompt `{recipe['prompt']['template']}`."
    ]
    if generator["model"] == "none":
        lines.append("- Generator: none; the guides are the images.")
    else:
        lines.append(
            f"- Generator: `{generator['model']}`, {generator['scheduler'] or 'its own scheduler'}, "
            f"{generator['steps']} steps, strength {generator['strength']}, "
            f"guidance scale {generator['guidance_scale']}."
        )
    lines += [
        f"- {source.role.capitalize()}: {source.name}; licence {source.licence}; "
        f"{'may' if source.redistribution else 'may not'} be passed on."
        for source in manifest.sources
    ]
    if manifest.withheld:
        lines.append(f"- Left out of this copy: {', '.join(f'`{name}`' for name in manifest.withheld)}, since the "
                     f"licence of {closed_sources(manifest)} does not allow passing photos on.")  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in manifest.environment.items())
    return "\n".join([*lines, f"- Made with {versions}."])
