"""Score weights of a NextItemModel: what each part adds to a score, and the search for its weight on validation."""
