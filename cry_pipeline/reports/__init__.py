"""Evidence to pages: the leaderboard, an experiment's page, comparisons, the site; figures/ and templates/ beside them.

Belongs here: which numbers are shown, how and in which words. Does not: the numbers (evaluation).
"""
