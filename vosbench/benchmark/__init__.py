"""Protocols, records, comparison."""
