"""External validity: agreement of results on D3S with accuracies on real images."""
