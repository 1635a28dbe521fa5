"""The metrics on numpy arrays, frame by frame and without torch: what scoring in many processes imports."""
