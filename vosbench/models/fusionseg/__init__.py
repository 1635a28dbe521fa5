"""FusionSeg: an appearance and a motion stream, fused pixel by pixel."""
