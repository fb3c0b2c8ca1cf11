"""Recipes: everything that decides what a release looks like, as one TOML file of sections."""
