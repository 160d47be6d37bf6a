"""How much each part of a score counts: taken apart, weighted, and searched on validation."""
