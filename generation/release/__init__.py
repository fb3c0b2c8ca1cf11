"""Rows -> shards -> a release on disk: what is finished, the loop that makes the rest, estimates."""
