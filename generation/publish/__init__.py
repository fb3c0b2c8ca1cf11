"""Release -> Hub repo: selection of files, and upload."""
