"""The card of a release: `dataset_card.md` filled in from the release's own numbers, with the Hub's front matter."""
