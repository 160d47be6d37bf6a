"""Jobs that walk the whole way, from raw logs to a served model."""
