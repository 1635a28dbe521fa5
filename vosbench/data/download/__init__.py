"""Data sets from their authors: addresses, resumable download, safe unpacking."""
