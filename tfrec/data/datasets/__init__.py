"""Named data sets: readers of public logs, and simulated logs for tests and tutorials."""
