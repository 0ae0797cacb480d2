"""Numba CUDA target. Importing it needs neither a GPU nor CUDA wheels."""
