"""The local web page: the site of reports, with recordings to listen to.

Belongs here: what answers a browser. Does not: making pages (reports/), nor Dagster.
"""
