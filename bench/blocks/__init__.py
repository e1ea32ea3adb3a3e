"""What many blocks at once take: to be added, and beside every packet."""
