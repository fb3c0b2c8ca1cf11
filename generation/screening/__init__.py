"""Automatic checks per image, stored as columns (no row is dropped); near-duplicates."""
