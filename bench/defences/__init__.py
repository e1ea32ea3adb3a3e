"""What stands between a flood and a server: synguard, and what it is compared with."""
