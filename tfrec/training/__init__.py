"""The one fit loop and its parts; which model is fitted is no business of this room."""
