"""Measures what CPUs that run the probe at the same time cost each other."""
