"""Measures what one look of the daemon's into the kernel takes."""
