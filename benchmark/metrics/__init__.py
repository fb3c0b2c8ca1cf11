"""Metrics as pure functions on arrays: groups, accuracy, calibration, intervals, worst group, paired. No torch."""
