"""Tracked benchmarks: asv's in kernels.py; the same kernels for pytest in test_kernels.py.

RNNBENCH_PROFILE chooses how much is run; the profiles stand in common.py.
"""
