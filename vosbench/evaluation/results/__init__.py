"""Readers of result folders, archives and arrays."""
