"""Bytes to arrays and back, one file per format."""
