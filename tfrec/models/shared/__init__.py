"""What more than one model family uses."""
