"""Text of unknown origin, made harmless for a terminal."""


def printable(text: str) -> str:
    r"""Return ``text`` with every control character spelled out (``\x1b``), so that it moves no cursor."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
