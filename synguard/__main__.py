"""``python -m synguard`` is ``synguard``."""

from synguard.cli import main

main()
