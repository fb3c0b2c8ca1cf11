"""Rounds of votes: which images are open at this moment, who gets which of them, and which of them matters most."""
