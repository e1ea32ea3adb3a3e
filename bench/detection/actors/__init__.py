"""Who makes what the daemon has to tell apart: callers of every manner, scanners, hosts behind others."""
