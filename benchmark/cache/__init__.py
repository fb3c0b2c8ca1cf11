"""Content-addressed cache of predictions, features and facts of models. No torch."""
