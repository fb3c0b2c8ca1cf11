"""Questions of the annotation task, and their possible answers."""

from dataclasses import dataclass
from pathlib import Path

INSTRUCTIONS = Path(__file__).parent  # folder of `instructions.html`, which the page and every layout include
ANSWERS = {"yes": "Yes", "no": "No", "unsure": "Can't tell"}


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        name: name in votes and columns.
        text: text shown; `{object}` and `{place}` are the class and the background.
        hint: explanation shown.
        good: the answer that supports the image.
    """

    name: str
    text: str
    hint: str
    good: str

    def ask(self, thing: str, place: str) -> str:
        """Return the question about one image."""
        return self.text.format(object=thing, place=place)


QUESTIONS = (
    Question(
        "foreground",
        "Is the object there: {object}?",
        "Any part of one counts, also if it looks odd. No: it is not there at all.",
        "yes",
    ),
    Question(
        "background",
        "Is the place right: {place}?",
        "Look around the object. No: it is somewhere else.",
        "yes",
    ),
    Question(
        "unsafe",
        "Is there nudity or violence?",
        "Sexual nudity, blood, wounds, cruelty.",
        "no",
    ),
)
NAMES = tuple(question.name for question in QUESTIONS)
