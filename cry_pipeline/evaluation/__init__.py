"""Runs to evidence: metrics, donor-clustered intervals, nulls, comparisons, verdicts.

Belongs here: numbers, and what follows from them. Does not: figures, tables of pages and pages (reports), and nothing
that needs torch, matplotlib or jinja2.
"""
