"""The drawn scenes, one background a file: each file's LAYOUTS are its ways to be laid out."""
