"""Crowds: entry links, exports and imports for colleagues, Prolific, Mechanical Turk, Label Studio, CSV."""
