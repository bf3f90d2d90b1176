"""Manifest → arrays: transforms, pooled statistics, extraction and the hybrid image; kinds/ and store/ beside them.

Belongs here: how samples become features. Does not: which recordings there are (corpus) and what is learned from
their features (training).
"""
