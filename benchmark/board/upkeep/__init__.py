"""A board that looks after itself: what a pull request would change, what has broken since, when to look. No torch."""
