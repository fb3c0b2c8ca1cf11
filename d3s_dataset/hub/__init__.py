"""The Hub through huggingface_hub: repos, files and their checksums, calls that are tried again, no network at all."""
