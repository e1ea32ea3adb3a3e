"""The demo: a bounded story of a flood, what it does to good clients, and the answer."""
