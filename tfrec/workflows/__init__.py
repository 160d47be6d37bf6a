"""Jobs that combine several steps: quickstart, tuning, comparison, reports, retraining, exploration."""
