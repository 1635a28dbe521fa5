"""Lucid dreams: training frames made from one annotated frame."""
