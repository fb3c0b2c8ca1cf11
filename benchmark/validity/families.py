"""Model families, derived from timm's names: models of one family are not independent evidence.

The rule: take the architecture (`tf_efficientnet_b0` of `tf_efficientnet_b0.ap_in1k`), without the beginnings that say
only where code or weights came from (`tf_`, `legacy_`, ...). The family is the first entry of `FAMILIES` that has one
of the name's beginnings; else the name's letters up to the first digit or underscore, without a version (`convnextv2`
is `convnext`). So sizes, training data, recipes and versions of one line of architectures are one family.
"""

import re

_ORIGINS = re.compile(r"^(?:tf|gluon|legacy|tv|ig|ssl|swsl)_")
_LETTERS = re.compile(r"([a-z]+?)(?:v\d+)?(?=\d|_|$)")

# family -> beginnings of architectures whose letters alone would make families of their own; the first fit decides.
FAMILIES: dict[str, tuple[str, ...]] = {
    "inception": ("inception", "adv_inception", "ens_adv_inception"),
    "resnet": (
        "wide_resnet",
        "seresnet",
        "ecaresnet",
        "gcresnet",
        "skresnet",
        "nf_resnet",
        "resnetaa",
        "resnetblur",
        "resnetrs",
    ),
    "resnext": ("seresnext", "skresnext", "gcresnext", "eca_resnext"),
    "mixer": ("gmixer",),
    "regnet": ("regnetx", "regnety", "regnetz", "regnetv", "nf_regnet"),
    "vit": ("flexivit", "samvit", "naflexvit"),
    "coat": ("coat_",),
}


def family_of(name: str) -> str:
    """Return the family of a model, by timm's name with or without its tag, such as `resnet50.a1_in1k`."""
    plain = _ORIGINS.sub("", name.partition(".")[0].lower())
    for family, beginnings in FAMILIES.items():
        if plain.startswith(beginnings):
            return family
    letters = _LETTERS.match(plain)
    return letters[1] if letters else plain
