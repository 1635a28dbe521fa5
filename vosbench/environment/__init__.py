"""What this machine can run: processors, packages, data, weights."""
