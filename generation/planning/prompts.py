"""Template + labels -> prompt."""

from d3s_dataset.taxonomy import ImageNetClass


def make_prompt(template: str, foreground: ImageNetClass, phrase: str) -> str:
    """Return the prompt for one class and one background (arXiv 2211.10370, section 3).

    Args:
        template: text with the fields {synonym}, {gloss} and {phrase}.
        foreground: the class; its first synonym and WordNet gloss are used. Two pairs of classes share a first
            synonym (crane 134 and 517, maillot 638 and 639): the gloss distinguishes them.
        phrase: background phrase, such as "on grass".
    """
    return template.format(synonym=foreground.synonym, gloss=foreground.gloss, phrase=phrase)
