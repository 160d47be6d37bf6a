"""ClickRanker: the second stage, one probability a behaviour for a few candidates."""
