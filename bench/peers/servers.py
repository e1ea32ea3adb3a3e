"""The servers that good clients visit, by the words of a scenario."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from bench.net.links import Endpoint
from bench.peers.listener import echo
from bench.peers.nginx import nginx
from bench.scenario.model import ServerSpec

_Server = Callable[[Endpoint, list[str], int, int], contextlib.AbstractContextManager[int]]
_SERVERS: dict[str, _Server] = {"accept-loop": echo, "nginx": nginx}


@contextlib.contextmanager
def serve(spec: ServerSpec, endpoint: Endpoint, addresses: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Serve on addresses of the endpoint's, of both families, while the ``with`` block lasts.

    It listens when the block begins, with a queue of ``queue_entries`` for each address. The sysctls
    that bound the queues as well are the caller's.

    Yields:
        The pids of its processes, whose descendants are its too; none where nothing serves.

    Raises:
        UnsupportedError: the server is not installed.
        SynguardError: it does not start.

    """
    server = _SERVERS.get(spec.kind)
    if server is None:
        yield ()
        return
    with server(endpoint, list(addresses), spec.port, spec.queue_entries) as pid:
        yield (pid,)
