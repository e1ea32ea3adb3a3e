"""Measures what one packet costs in the kernel, program by program, with BPF_PROG_TEST_RUN."""
