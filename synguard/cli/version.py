"""``synguard --version``: which version, from which commit, and what its probe's maps are laid out like."""

from __future__ import annotations

from synguard import __version__
from synguard.commit import commit_of
from synguard.probe.probe import SOURCE, Groups, Sizes
from synguard.probe.version import ProbeVersion


def version_text() -> str:
    """Return it in one line; the layout is that of the default sizes."""
    layout = ProbeVersion.of(SOURCE, Sizes().defines() | Groups().defines()).layout
    return f"synguard {__version__} (commit {commit_of() or 'unknown'}, layout {layout})"
