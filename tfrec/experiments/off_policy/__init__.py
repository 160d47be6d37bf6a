"""Off-policy evaluation: what a policy would have earned, estimated from the log of another."""
