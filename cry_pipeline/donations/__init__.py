"""Donations: what the champion says of them, what people say after listening, drift, and taking them back.

Belongs here: triage, review, drift, withdrawal. Does not: taking files in (corpus/), and pages
(reports/, serving/).
"""
