"""LIP: Mask R-CNN with a convolutional gated recurrent memory (Lyu et al., 2019)."""
