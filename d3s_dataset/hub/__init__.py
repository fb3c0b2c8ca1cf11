"""Hub access with huggingface_hub: repos, files and checksums, retries, offline use."""
