"""Diagnosis of result folders: mistakes in the files, and how to correct them."""
