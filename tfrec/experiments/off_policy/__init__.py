"""What a policy would have earned, from the logs of another."""
