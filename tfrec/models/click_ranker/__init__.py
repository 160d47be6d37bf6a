"""ClickRanker: the second stage, which predicts the probability of each behaviour for a few candidates."""
