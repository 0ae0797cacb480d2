"""Worked problems on real data."""
