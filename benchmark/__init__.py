"""What D3S shows: predictions of a model on a release, and the numbers that follow from them.

Two halves. From `predictions` to `score` and `compare` nothing needs torch: whoever has predictions has everything.
From `models` on, up to `run` and `train`, the rest makes predictions and models.
"""
