"""Row -> guide (the composite image) -> image: composing, prompt embeddings, image-to-image with diffusers."""
