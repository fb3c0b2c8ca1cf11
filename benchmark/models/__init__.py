"""Models: what can stand after `--model`, from timm, transformers, a folder or code; heads, weights, lists."""
