"""What was computed once, kept by what it was computed from. No torch."""
