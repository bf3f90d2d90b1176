"""Offline feature store and training batch pipeline for infant-cry audio."""

__version__ = "0.1.0"
