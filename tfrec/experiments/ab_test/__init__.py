"""A/B tests: power, estimates, confidence sequences, decisions and their page."""
