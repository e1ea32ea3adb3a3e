"""Settings: one frozen tree, read from a TOML file and overlaid by the command line."""

from synguard.config.changes import Change, applicable, changes
from synguard.config.detecting import DetectSettings
from synguard.config.file import DEFAULT_PATH, file_in_use, load
from synguard.config.reference import default_toml, settings_reference
from synguard.config.responding import RespondSettings
from synguard.config.settings import (
    ControlSettings,
    HistorySettings,
    LogSettings,
    ProbeSettings,
    Settings,
)

__all__ = [
    "DEFAULT_PATH",
    "Change",
    "ControlSettings",
    "DetectSettings",
    "HistorySettings",
    "LogSettings",
    "ProbeSettings",
    "RespondSettings",
    "Settings",
    "applicable",
    "changes",
    "default_toml",
    "file_in_use",
    "load",
    "settings_reference",
]
