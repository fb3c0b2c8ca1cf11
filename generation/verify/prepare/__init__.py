"""A release -> a folder of tasks: images drawn at random, attention checks, questions, what is shown, the cost."""
