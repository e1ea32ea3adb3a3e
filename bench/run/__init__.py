"""Plays scenarios: builds what each cell needs, floods, watches, and keeps what it saw."""
