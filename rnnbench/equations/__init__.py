"""Scalar maths of every cell, one file a family. Adding a cell is adding one entry here."""
