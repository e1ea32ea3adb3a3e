"""Real shells on terminals of their own: a line is typed, TAB is pressed, and what is there is read."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

#: Only a shell that is stuck takes as long.
PATIENCE_S = 15.0
PROMPT = "ready>"

_COMMANDS: Mapping[str, list[str]] = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_SET_UP: Mapping[str, str] = {
    "bash": f"PS1='{PROMPT} '; bind 'set show-all-if-ambiguous on'; source <(synguard completion bash)",
    "zsh": f"PROMPT='{PROMPT} '; autoload -U compinit; compinit -u -D; source <(synguard completion zsh)",
    "fish": f"function fish_prompt; echo '{PROMPT} '; end; synguard completion fish | source",
}
_ESCAPES = re.compile(
    rb"\x1b\[[0-9;?>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>]"
)


class Shell:
    """An interactive shell with our completion, in which ``synguard`` is this checkout's."""

    def __init__(self, name: str, home: Path) -> None:
        """Start it, and return when it takes a line."""
        environment = {
            "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "xterm", "COLUMNS": "200", "LINES": "50",
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        }  # fmt: skip
        self._terminal, theirs = os.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *_COMMANDS[name]],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=home, env=environment,
        )  # fmt: skip
        os.close(theirs)
        self._type(f"{_SET_UP[name]}; echo set''up\n")
        self._read_until(lambda shown: PROMPT in shown.rpartition("setup")[2] and "setup" in shown)

    def offers(self, line: str, *until: str) -> str:
        """Type a line and TAB; return what the terminal shows then, once all of ``until`` is there."""
        self._type(line)
        self._read_until(lambda shown: line[-4:].strip() in shown)
        self._type("\t")
        return self._read_until(lambda shown: all(word in shown for word in until))

    def enter(self) -> None:
        """Run the line as it stands now."""
        self._type("\n")

    def close(self) -> None:
        """Hang up, which ends it."""
        os.close(self._terminal)
        self._process.wait(PATIENCE_S)

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read_until(self, enough: Callable[[str], bool]) -> str:
        shown, deadline_s = b"", time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            if select.select([self._terminal], [], [], 0.1)[0]:
                shown += os.read(self._terminal, 65536)
                text = _ESCAPES.sub(b"", shown).decode(errors="replace")
                if enough(text):
                    return text
        raise AssertionError(f"the terminal shows {_ESCAPES.sub(b'', shown)!r}")
