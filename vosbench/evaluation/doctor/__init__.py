"""Diagnosis of result folders: what is wrong with the files, and the way out."""
