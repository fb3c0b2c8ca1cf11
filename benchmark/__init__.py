"""What D3S shows: predictions of a model on a release, and the numbers that follow from them.

Two halves. `predictions`, `groups`, `metrics`, `stats`, `results` and `score` need no torch: whoever has predictions
has everything. `weights`, `models`, `data`, `predict`, `run` and `train` make predictions and models.
"""
