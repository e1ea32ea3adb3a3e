"""A detector of the kind one finds, for comparison: bcc, an LRU entry for each source and connection."""
