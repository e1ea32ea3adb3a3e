"""Floods and good clients in network namespaces of their own: what shows and measures synguard."""
