"""The local web page: the site of reports, with recordings to listen to; and a copy of it that stands alone.

Belongs here: what answers a browser. Does not: making pages (reports/), nor Dagster.
"""
