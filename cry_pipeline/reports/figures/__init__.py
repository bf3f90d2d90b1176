"""Plots, as PNG bytes, and the one style that they share."""
