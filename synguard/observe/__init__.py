"""What the daemon tells the outside: its log."""
