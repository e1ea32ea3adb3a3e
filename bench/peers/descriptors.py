"""Lets a process hold as many connections at once as it may."""

import resource


def allow_descriptors() -> None:
    """Raise this process's limit on open files to what it is permitted."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
