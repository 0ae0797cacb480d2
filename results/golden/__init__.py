"""Golden cases, as package data."""
