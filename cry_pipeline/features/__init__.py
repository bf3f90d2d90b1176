"""Manifest → arrays: transforms, pooled statistics, extraction, the feature store, and the hybrid image.

Belongs here: how samples become features, and how features are kept and read. Does not: which recordings
there are (corpus) and what is learned from their features (training).
"""
