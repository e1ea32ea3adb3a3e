"""Settings: one frozen tree, read from a TOML file and overlaid by the command line."""

from synguard.config.detecting import DetectSettings
from synguard.config.file import DEFAULT_PATH, file_in_use, load
from synguard.config.reference import default_toml, settings_reference
from synguard.config.settings import (
    ControlSettings,
    HistorySettings,
    LogSettings,
    ProbeSettings,
    RespondSettings,
    Settings,
)

__all__ = [
    "DEFAULT_PATH",
    "ControlSettings",
    "DetectSettings",
    "HistorySettings",
    "LogSettings",
    "ProbeSettings",
    "RespondSettings",
    "Settings",
    "default_toml",
    "file_in_use",
    "load",
    "settings_reference",
]
