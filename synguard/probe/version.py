"""Which probe this is: a version of what its maps hold, and one of its code.

An earlier daemon's maps are read on by the next one only if every declaration is the same: structs, enums,
constants, maps, and their sizes. Code may differ: the next daemon puts its own over the same maps.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synguard.probe import compile_child

_DIGITS = 12

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
#: In kernel style a function's braces, and no others, stand at the beginning of their lines.
_FUNCTION = re.compile(r"^[a-z][^;{}#]*\)\n\{$.*?^\}$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProbeVersion:
    """Two short hexadecimal texts; what has the same two is the same probe."""

    layout: str
    program: str

    @classmethod
    def of(cls, source: Path, defines: Mapping[str, int]) -> ProbeVersion:
        """Return the version of what ``source`` becomes with these preprocessor definitions.

        They must tell everything that changes what the maps hold or how large they are.
        """
        text = compile_child.amalgamate(source)
        declarations = _FUNCTION.sub("", _COMMENT.sub("", text)).split()
        layout = _digest(json.dumps([declarations, dict(defines)], sort_keys=True))
        compiler = Path(compile_child.__file__).read_text(encoding="utf-8")
        return cls(layout, _digest(layout, text, compiler))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:_DIGITS]
