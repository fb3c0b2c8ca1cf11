"""Votes on disk: who has which task, every answer kept, the secret behind ids and links."""
