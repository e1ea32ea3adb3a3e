"""Measures what one packet costs a CPU that receives it from another, with the probe and without."""
