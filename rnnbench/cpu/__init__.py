"""Numba CPU target."""
