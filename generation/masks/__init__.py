"""Masks of photos without transparency: found by a segmenter before guides are made, cached by the photo's digest."""
