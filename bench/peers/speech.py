"""What clients say to servers and hear from them: a line and its echo, or an HTTP/1.1 request."""

from __future__ import annotations

from typing import Protocol


class Speech(Protocol):
    """What a client says, and how it knows the answer."""

    #: One request; several may follow each other in one connection.
    request: bytes

    def answer_bytes(self, heard: bytes) -> int:
        """Return the length of the first answer in ``heard``, 0 while it is not all there.

        Raises ValueError when it is no answer to ``request``.
        """


class Echo:
    """A line that comes back as it was."""

    request = b"are you there?\n"

    def answer_bytes(self, heard: bytes) -> int:
        """Return the line's length once it is back."""
        if heard.startswith(self.request):
            return len(self.request)
        if not self.request.startswith(heard):
            raise ValueError("the echo is another line")
        return 0


class Http:
    """The smallest request of HTTP/1.1, by which a connection is kept (RFC 9112 section 9.3)."""

    request = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
    _STATUS = b"HTTP/1.1 200 "
    _LENGTH = b"\r\ncontent-length:"
    _END = b"\r\n\r\n"

    def answer_bytes(self, heard: bytes) -> int:
        """Return the length of head and body once both are there; any status but 200 is no answer."""
        if heard[: len(self._STATUS)] != self._STATUS[: len(heard)]:
            raise ValueError("the status is not 200")
        head, end, body = heard.partition(self._END)
        if not end:
            return 0
        _, _, fields = head.lower().partition(self._LENGTH)
        content_bytes = int(fields.partition(b"\r\n")[0])
        return len(head) + len(end) + content_bytes if len(body) >= content_bytes else 0


#: By the kind of server, as in ``ServerSpec.kind``; where nothing listens, nothing is said.
SPEECHES: dict[str, Speech] = {"accept-loop": Echo(), "none": Echo(), "nginx": Http()}
