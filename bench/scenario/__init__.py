"""What a benchmark plays: scenarios as data, read from one TOML file each."""
