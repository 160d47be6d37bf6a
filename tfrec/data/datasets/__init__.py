"""Named data sets: readers of public logs, and simulated ones for tests and tutorials."""
