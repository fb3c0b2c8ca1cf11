"""The drawn objects, one theme a file: each file's DRAWN names its ImageNet indices."""
