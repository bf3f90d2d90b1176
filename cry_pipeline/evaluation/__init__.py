"""Runs to evidence: metrics, donor-clustered intervals, verdicts, plots and reports."""

REPORT_REVISION = 4
"""Raised when a change of code changes the tables or pages of reports; here, because drawing is slow to import."""
