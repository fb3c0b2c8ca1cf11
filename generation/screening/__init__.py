"""Automatic checks per image, written as columns and never a silent drop; near-duplicates."""
