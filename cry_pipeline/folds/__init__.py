"""Manifest to folds: which recordings a fold tests, decided before anything is fitted."""
