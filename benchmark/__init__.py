"""Evaluation on D3S: predictions of models on a release, and the metrics computed from them.

Two halves. From `predictions` to `score` and `compare` nothing needs torch: all metrics are functions of predictions.
From `models` on, up to `run` and `train`, the rest makes predictions and models.
"""
