"""Data sets, readers, the miniature world."""
