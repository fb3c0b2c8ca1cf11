"""Annotation server: app, signed links, request limits, progress monitor."""
