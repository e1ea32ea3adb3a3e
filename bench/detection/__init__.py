"""What synguard calls what it sees: every kind of attack and every harmless thing, played and compared."""
