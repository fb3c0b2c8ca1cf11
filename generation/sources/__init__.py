"""Photo sources: image folders, Hub datasets, the drawn sample."""
