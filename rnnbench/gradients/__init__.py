"""Gradient algorithms: schedules, their runner, clipping."""
