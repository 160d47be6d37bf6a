"""A/B tests: power, estimates, confidence sequences, decisions and the report."""
