"""A day of the daemon's life in minutes."""
