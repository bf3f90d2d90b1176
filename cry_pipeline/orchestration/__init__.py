"""All Dagster code: assets, checks, automation, resources, jobs and the instance they are recorded in."""
