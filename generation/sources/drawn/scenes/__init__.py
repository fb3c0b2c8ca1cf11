"""The drawn scenes, one background per file: each file's LAYOUTS are its ways to be laid out."""
