"""Zero-shot prompts of the 1000 classes. Needs no torch."""

from collections import Counter

from d3s_dataset.taxonomy import classes

# Written for D3S: near and far, whole and hidden, photo-like; none names one of the ten backgrounds.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "ensemble": (
        "a photo of a {}.",
        "a close-up photo of a {}.",
        "a photo of a small {} seen from a distance.",
        "a photo in which a {} is partly hidden.",
        "a photo of a {} in an unusual place.",
        "a computer-made picture of a {}.",
    ),
    "single": ("a photo of a {}.",),
}


def prompts(templates: tuple[str, ...]) -> list[str]:
    """Return every class in every template, class by class, in lower case as these models were trained."""
    return [template.format(name).lower() for name in names() for template in templates]


def names() -> list[str]:
    """Return what each class is called: its first synonym, or its whole name where two classes share that."""
    shared = Counter(each.synonym.lower() for each in classes())
    return [each.name if shared[each.synonym.lower()] > 1 else each.synonym for each in classes()]
