"""From raw files to a cleaned, indexed log: reading, validation, cleaning, splits, writing."""
