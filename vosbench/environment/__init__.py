"""Environment: packages, devices, data, weights and load of this machine."""
