"""Recipes: the complete configuration of a release, one TOML file."""
