"""Votes in a database: assignments, all revisions of every answer, and the secret behind ids and links."""
