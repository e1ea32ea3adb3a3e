"""What a benchmark found: figures with their spread, on disk as JSON."""
