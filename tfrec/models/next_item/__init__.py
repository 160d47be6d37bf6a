"""NextItemModel: scores of the whole catalogue from a history."""
