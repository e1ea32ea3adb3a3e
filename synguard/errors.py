"""The errors that reach a person, sorted by who must act."""


class SynguardError(Exception):
    """Something failed; the message says what and what to do next. Exit code 1."""

    exit_code = 1


class UsageError(SynguardError):
    """The person asked for something that makes no sense: a wrong option or setting. Exit code 2."""

    exit_code = 2


class UnsupportedError(SynguardError):
    """Not permitted, or not supported by this machine. Exit code 3."""

    exit_code = 3
