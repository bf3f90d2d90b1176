"""The `cry-pipeline` command: a file for each group of sub-commands."""
