"""Checks of a data set on disk against what its authors publish."""
