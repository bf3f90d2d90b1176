"""Runs to evidence: metrics, donor-clustered intervals, verdicts, plots and reports."""
