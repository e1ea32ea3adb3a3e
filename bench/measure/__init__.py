"""Turns what was seen into figures."""
