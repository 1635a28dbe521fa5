"""Protocols, and the score of one sequence under a protocol."""
