"""One file per data set: its official folder, read and checked."""
