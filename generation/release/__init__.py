"""Rows -> shards -> release on disk: state, generation loop, estimates."""
