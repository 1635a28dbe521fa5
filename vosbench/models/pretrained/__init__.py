"""Weights: the zoo's, the authors' published ones, and their import."""
