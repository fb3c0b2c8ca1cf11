"""Row -> guide -> image: composing, prompts and their embeddings, image-to-image through diffusers."""
