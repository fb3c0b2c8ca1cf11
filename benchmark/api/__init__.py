"""The Python API: models and predictions in memory or by name, measured and compared as the commands do."""
