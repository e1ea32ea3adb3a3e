"""The hosts of a benchmark and the wires between them, in network namespaces of its own making."""
