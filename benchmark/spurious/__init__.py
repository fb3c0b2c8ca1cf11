"""The spurious-correlation task (arXiv 2211.10370, section 5): which rows are drawn, ways of reading, the table."""
