"""Optical flow: estimators, cache, encodings."""
