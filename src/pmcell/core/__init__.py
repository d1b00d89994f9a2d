"""Kernels on arrays: numpy, scipy and numba only, no files, no AnnData."""
