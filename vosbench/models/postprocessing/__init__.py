"""Postprocessing of network output: CRF, tracker, windows, online adaptation."""
