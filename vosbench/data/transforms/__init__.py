"""Changes of clips that keep frames, masks and flow consistent."""
