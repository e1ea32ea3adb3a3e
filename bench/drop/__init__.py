"""How many SYNs of known sources a CPU drops behind each defence, without a wire before it."""
