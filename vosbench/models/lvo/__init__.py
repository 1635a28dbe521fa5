"""LVO: two streams with a visual memory."""
