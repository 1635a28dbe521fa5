"""MP-Net: the motion pattern network."""
