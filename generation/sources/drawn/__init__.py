"""The drawn sample: objects and scenes made from numbers alone, so that the pipeline runs without photos or weights."""

from generation.sources.drawn.backgrounds import BACKGROUNDS, draw_background
from generation.sources.drawn.foregrounds import CLASSES, draw_foreground

__all__ = ["BACKGROUNDS", "CLASSES", "draw_background", "draw_foreground"]
