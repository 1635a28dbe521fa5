"""Training: stages, their data, checkpoints, loggers."""
