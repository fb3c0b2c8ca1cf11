"""Submissions -> a board: what is checked of a stranger's files, states, ranks, the page, running again. No torch."""
