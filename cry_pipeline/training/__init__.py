"""Training: arrays and folds to runs. Reads cohort rows and features; knows nothing of evidence or Dagster."""
