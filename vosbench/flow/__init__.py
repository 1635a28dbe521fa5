"""Optical flow: estimators, cache, encodings."""

GROUND_TRUTH = "ground_truth"
"""Name, in place of an estimator's, of flow that the data set has, as FlyingThings3D does."""
