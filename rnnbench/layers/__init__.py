"""Layers around a cell: heads and losses."""
