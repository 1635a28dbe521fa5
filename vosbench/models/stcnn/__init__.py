"""STCNN: a temporal coherence branch beside a spatial segmentation branch."""
