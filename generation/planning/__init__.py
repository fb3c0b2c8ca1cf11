"""Recipe and sources -> rows: splits, prompts, controls, and the plan, the only place where chance is drawn."""
