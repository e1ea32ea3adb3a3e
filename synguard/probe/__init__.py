"""The kernel side: the eBPF program in C, its compilation, attachment, byte layout and reading."""
