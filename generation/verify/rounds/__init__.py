"""Rounds of votes: the open images, their assignment to annotators, and the value of a further vote on each."""
