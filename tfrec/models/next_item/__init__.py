"""NextItemModel: a history of items to scores of the whole catalogue."""
