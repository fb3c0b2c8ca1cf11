"""The drawn objects, one theme per file: each file's DRAWN names its ImageNet indices."""
