"""A model over images: devices, precision and compilation, predictions, pooled features, one result."""
