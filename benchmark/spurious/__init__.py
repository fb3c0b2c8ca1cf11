"""The spurious-correlation task (arXiv 2211.10370, section 5): which rows are drawn, methods, the table."""
