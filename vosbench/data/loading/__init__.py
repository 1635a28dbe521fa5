"""Clips and batches for training: sampling, mixing, collation."""
