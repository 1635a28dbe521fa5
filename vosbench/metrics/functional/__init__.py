"""The metrics as pure tensor functions."""
