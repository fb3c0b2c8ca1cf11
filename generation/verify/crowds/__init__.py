"""Where people come from and how their answers come back: colleagues, Prolific, Mechanical Turk, Label Studio, CSV."""
