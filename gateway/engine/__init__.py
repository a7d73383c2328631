"""Engines, and the scheduler that shares them out."""
