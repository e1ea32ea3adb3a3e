"""Measures the daemon's share of a CPU under floods that no receiving CPU could take beside it."""
