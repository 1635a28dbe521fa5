"""Motion Mask R-CNN (Dave, Tokmakov and Ramanan, ICCV workshops 2019)."""
