"""Readers of the official folders, one file per data set."""
