"""Models: the values of `--model`, from timm, transformers, a folder or code; heads, weights, lists."""
