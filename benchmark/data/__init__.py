"""Images and labels: a split of a release, an ImageNet folder, decoding by all cores, class pairings. No torch."""
