"""The card of a release: `dataset_card.md` with its marked blocks and its front matter written from the manifest.

A block stands between ``<!-- d3s:begin NAME -->`` and ``<!-- d3s:end NAME -->``. No number in a card is typed by hand.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from d3s_dataset.card import front_matter
from d3s_dataset.card.statistics import Counts
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Manifest
from d3s_dataset.schema import CONFIGS, CONTROLS, columns_table, not_d3s
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.tables import Markup, markdown_table

FILE_NAME = "README.md"
SHEET = "contact_sheet.jpg"
_CROISSANT = (
    "[croissant.json](croissant.json) describes files with their checksums, columns, labels and splits as "
    "[Croissant](https://mlcommons.org/working-groups/data/croissant/) metadata; "
    '`mlcroissant.Dataset("croissant.json")`, typed in a downloaded copy, reads the rows.'
)
_NO_SHEET = "This copy holds its images as differences from photos (below), so it shows none."
_NO_CROISSANT = "A copy that was made whole has Croissant metadata of its files."
# What the images of a release are, where no diffusion model has made them.
_IMAGES = {
    "sample": "Here both are drawn by code, and the object is pasted on the background.",
    "guides": "A photo of the object is pasted on a photo of the background (the *guide*), no more: the guides "
    "are the images.",
}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)\s]+)\)")
_UNVERIFIED = "The labels are not human-verified yet: they are what was asked for, and `verified` is null."
_NO_RESULTS = "No model has been ranked on this release yet."  # `benchmark.leaderboard --into` writes them here
_STATUS = {
    "d3s": "This is D3S.",
    "sample": "**Drawn sample, not D3S.** Objects and backgrounds were drawn by code, to try every tool without "
    "network, weights or photos. A figure measured on it says nothing about D3S.",
    "guides": "**Guides, not D3S.** The images are photos pasted on photos: no model has redrawn them.",
    "shift": "This is a sibling shift of D3S: its background labels are not the ten of D3S.",
}


def shipped_file(name: str) -> Path:
    """Return a file that is at the project's root in a checkout, and inside the package once installed."""
    package = Path(__file__).parents[1]
    return next(path for path in (package.parent / name, package / name) if path.is_file())


def render(manifest: Manifest, counts: Mapping[tuple[str, str], Counts], *, gated: bool = False) -> str:
    """Return a release's README.md.

    Args:
        manifest: the release's manifest.
        counts: (config, split) -> counts over its shards, those that a copy holds as differences included.
        gated: add the terms of a gated repo.
    """
    text = shipped_file("dataset_card.md").read_text(encoding="utf-8")
    sent, manifest = manifest, manifest.whole()
    unbuilt = "default" in sent.unbuilt()
    blocks = {
        **({"images": _IMAGES[manifest.kind]} if manifest.kind in _IMAGES and not _redrawn(manifest) else {}),
        "links": _links(),
        "sheet": _NO_SHEET if unbuilt else _sheet(manifest),
        "croissant": _NO_CROISSANT if unbuilt else _CROISSANT,
        "differences": _differences(sent),
        "status": f"{_STATUS[manifest.kind]} {_verification(counts)}",
        "counts": _counts(manifest, counts),
        "controls": _controls(manifest),
        "screening": _screening(manifest, counts),
        "verification": _verified_how(manifest),
        "results": _NO_RESULTS,
        "columns": columns_table(len(manifest.backgrounds)),
        "making": _making(manifest),
    }
    for name, content in blocks.items():
        text = replace_block(text, name, content)
    return front_matter.rewrite(text, sent, gated)


def closed_sources(manifest: Manifest) -> str:
    """Return the names of the sources without redistribution rights."""
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


def linked(card: str) -> list[str]:
    """Return the files that a card links to or shows, as paths relative to it."""
    return _LINK.findall(card)


def _redrawn(manifest: Manifest) -> bool:
    return manifest.recipe["generator"]["model"] != "none"


def _links() -> str:
    cited: dict[str, Any] = yaml.safe_load(shipped_file("CITATION.cff").read_text(encoding="utf-8"))
    paper = cited["preferred-citation"]
    number = paper["url"].rpartition("/")[2]
    code = cited.get("repository-code")
    return "\n".join(
        [
            f"- Paper: [{paper['title']}](https://arxiv.org/pdf/{number})",
            f"- arXiv: [{number}]({paper['url']})",
            f"- Code: {f'<{code}>' if code else 'no public address yet; `CITATION.cff` will name it'}",
        ]
    )


def _sheet(manifest: Manifest) -> str:
    warning = not_d3s(manifest.kind)
    title = "Contact sheet: classes down, backgrounds across" + (f" ({warning})" if warning else "")
    return f"![{title}]({SHEET})\n\n*{title}.*"


def _differences(manifest: Manifest) -> str:
    if not manifest.differences:
        return "Every file of this copy can be read as it is."
    names = ", ".join(f"`{name}`" for name in manifest.unbuilt())
    lines = [
        f"This copy holds {names} as differences from the photos of {closed_sources(manifest)}, whose licence does not "
        "allow passing them on. A difference is noise without the photos; it names them, each with its SHA-256. "
        "With the same photos, the release becomes whole, byte for byte:",
        "",
        "```",
        "hf download ORG/NAME --repo-type dataset --local-dir d3s",
        f"python -m d3s_dataset.rebuild d3s {_folders(manifest)}",
        "```",
    ]
    return "\n".join(lines)


def _folders(manifest: Manifest) -> str:
    return " ".join(f"--{source.role} DIR" for source in manifest.sources if not source.redistribution)


def _counts(manifest: Manifest, counts: Mapping[tuple[str, str], Counts]) -> str:
    splits = manifest.splits()
    held = [counts["default", split] for split in splits]
    rows = [[name, *(each.backgrounds[label] for each in held)] for label, name in enumerate(manifest.backgrounds)]
    table = markdown_table(["background", *splits], [*rows, [Markup("**all**"), *(each.rows for each in held)]])
    failed = sum(each.config == "default" for each in manifest.failures)
    made = sum(each.rows for each in held)
    plan = f"{made:,} of {manifest.planned_rows:,} planned rows were made; {failed:,} failed"
    labels = sorted({label for each in held for label in each.foregrounds})
    rows = [[f"{label} {classes()[label].synonym}", *(each.foregrounds[label] for each in held)] for label in labels]
    by_class = markdown_table(["class", *splits], rows)
    details = f"<details><summary>Rows of each of the {len(labels)} classes</summary>\n\n{by_class}\n\n</details>"
    return f"{table}\n\n{plan} (listed in `manifest.json`).\n\n{details}"


def _verification(counts: Mapping[tuple[str, str], Counts]) -> str:
    annotated, confirmed = (sum(each.verified[i] for (c, _), each in counts.items() if c == "default") for i in (0, 1))
    if not annotated:
        return _UNVERIFIED
    return f"People looked at {annotated:,} of its images and confirmed {confirmed:,} ({confirmed / annotated:.1%})."


def _verified_how(manifest: Manifest) -> str:
    about = manifest.verification
    if about is None:
        return "The labels of this release are not human-verified."
    rows = [
        [
            Markup(f"`{question}`"),
            *("" if value is None else f"{value:.3f}" for value in (each.alpha, each.low, each.high)),
        ]
        for question, each in about.agreement.items()
    ]
    lines = [
        f"- Images that people looked at: {about.drawn}, without regard to any classifier.",
        f"- Verified: {about.rule_text} (rule `{about.rule}`).",
        f"- {about.answers:,} answers; {about.people:,} people whose votes count, {about.left_out:,} left out.",
        f"- Made from release `{about.release[:16]}`.",
    ]
    table = markdown_table(["question", "Krippendorff's alpha", "95 % from", "to"], rows)
    return "\n".join(lines) + f"\n\n{table}"


def _controls(manifest: Manifest) -> str:
    held = [name for name in manifest.configs() if name in CONTROLS]
    if not held:
        return "This release has no control configs."
    rows = [
        [Markup(f"`{name}`"), Markup(CONFIGS[name]), sum(manifest.rows(name, s) for s in manifest.splits(name))]
        for name in held
    ]
    return markdown_table(["config", "what", "rows"], rows)


def _screening(manifest: Manifest, counts: Mapping[tuple[str, str], Counts]) -> str:
    limits = manifest.recipe["screen"]
    names = list(dict.fromkeys(name for each in counts.values() for name in sorted(each.failed)))
    rows = [
        [config, split, each.rows, *(_share(each.failed[name], each.rows) for name in names),
         _share(each.fail_any, each.rows), each.redrawn_again]
        for (config, split), each in counts.items()
    ]  # fmt: skip
    table = markdown_table(["config", "split", "rows", *names, "any screen", "with another seed"], rows)
    judged = {name for each in counts.values() for name, rows in each.judged.items() if rows}
    looked = [
        f"contrast at least {limits['min_contrast']:g}, clipped at most {limits['max_clipped']:g}",
        f"near-duplicate within {limits['duplicate_bits']} of 64 bits",
        "the pipeline's own safety checker" if "safety" in judged else "no safety checker",
        f"CLIP `{limits['clip']}`" if "clip" in judged else "no CLIP",
    ]
    kinds = {"vlm": "the vision-language model", "features": "features of"}
    named = [f"{what} `{limits[name]}`" for name, what in kinds.items() if name in judged]
    opinion = f" Without a limit: {' and '.join(named)}." if named else ""
    return f"{table}\n\nScreens: {'; '.join(looked)}.{opinion} No row was dropped for failing one."


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else "0"


_OBJECT = {  # what each mode of the generator guarantees of it
    "redraw": "redrawn with its background, so nothing of it is guaranteed: it may have become something else",
    "inpaint": "the pixels under `mask` are those of the guide before encoding (`python -m d3s_dataset.check` compares "
    "them where the config `guides` is here); everything else was made by the generator",
    "edit": "the model was instructed to keep it, which guarantees nothing: like everything else it was made by the "
    "generator",
}


def _strength(generator: Mapping[str, Any]) -> str:
    """Return the strength as text; models that edit by instruction have none."""
    return f"strength {generator['strength']}, " if "strength" in generator else ""


def _harmonised(generator: Mapping[str, Any]) -> str:
    """Return the end of the line on the object where the generator made the seam around it once more."""
    again = generator.get("harmonise")
    return f", once more at strength {again} within 16 pixels of the object" if again else ""


def _varied(recipe: Mapping[str, Any]) -> list[str]:
    """Return the line on what each photo meets by plan; none where it meets one size, place and level."""
    guide: dict[str, Any] = recipe.get("guide") or {}
    severity: dict[str, Any] = recipe.get("severity") or {}
    grids: dict[str, Any] = {name: guide.get(name) for name in ("sizes", "places")}
    grids |= {f"levels of severity ({severity['of']})": severity["levels"]} if severity else {}
    parts = [f"{name} {', '.join(map(str, values))}" for name, values in grids.items() if values]
    return [f"- By plan each photo meets on each background: {'; '.join(parts)}."] if parts else []


def _making(manifest: Manifest) -> str:
    recipe = manifest.recipe
    generator = recipe["generator"]
    lines = [
        f"- Recipe `{recipe['name']}`: {recipe['description']}. Seed {recipe['seed']}, {manifest.image_size} px, "
        f"prompt `{recipe['prompt'].get('instruction') or recipe['prompt']['template']}`."
    ]
    if not _redrawn(manifest):
        lines.append("- Generator: none; the guides are the images.")
    else:
        lines.append(
            f"- Generator: `{generator['model']}`, {generator['scheduler'] or 'its own scheduler'}, "
            f"{generator['steps']} steps, {_strength(generator)}guidance scale {generator['guidance_scale']}."
        )
        lines.append(f"- Object: {_OBJECT[generator.get('mode', 'redraw')]}{_harmonised(generator)}.")
    lines += _varied(recipe)
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
