"""Result masks of any method: read, diagnosed, scored, with intervals and records."""
