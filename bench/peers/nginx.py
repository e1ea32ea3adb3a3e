"""A real nginx in a namespace, in a folder and with a configuration of its own.

It answers every request with a few bytes, keeps connections as long as its clients do, and logs errors
only. The system's nginx and its configuration are left alone.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.folders import folder
from bench.measure.usage import children
from bench.net.enter import call_in
from bench.net.links import Endpoint
from bench.net.namespaces import start_in, wait_until
from synguard.errors import SynguardError, UnsupportedError

_PACKAGE = "nginx-light"
_PROGRAM_FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/bin"
_CONNECTIONS = 16_384
_END_TIMEOUT_S = 5.0
_TCP_LISTEN = "0A"

_CONFIGURATION = """\
daemon off;
user nobody nogroup;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{
    worker_connections {connections};
}}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
{listens}
        location / {{
            return 200 "here\\n";
        }}
    }}
}}
"""


def _configuration(files: Path, addresses: list[str], port: int, queue_entries: int) -> str:
    bracketed = [f"[{address}]" if ":" in address else address for address in addresses]
    listens = [f"        listen {address}:{port} backlog={queue_entries};" for address in bracketed]
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONFIGURATION.format(
        folder=files,
        descriptors=descriptors,
        # Each has a descriptor; nginx needs a few for itself.
        connections=min(descriptors - 64, _CONNECTIONS),
        listens="\n".join(listens),
    )


def _listening_sockets(port: int) -> int:
    """Return how many sockets of the calling thread's namespace listen on the port (proc_net_tcp)."""
    count = 0
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/thread-self/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        for line in lines:
            _, local, _, state, *_ = line.split()
            count += state == _TCP_LISTEN and int(local.rpartition(":")[2], 16) == port
    return count


def _refuses(server: subprocess.Popen[bytes], log: Path) -> str | None:
    """Return why a server that has ended did, None while it runs."""
    if server.poll() is None:
        return None
    return log.read_text(encoding="utf-8").strip() if log.exists() else "it said nothing"


@contextlib.contextmanager
def nginx(endpoint: Endpoint, addresses: list[str], port: int, queue_entries: int) -> Iterator[int]:
    """Serve on addresses of the endpoint's while the ``with`` block lasts; yield nginx's master's pid.

    It listens when the block begins.

    Raises:
        UnsupportedError: nginx is not installed.
        SynguardError: it does not start; with its own words.

    """
    program = shutil.which("nginx", path=_PROGRAM_FOLDERS)
    if program is None:
        raise UnsupportedError(f"there is no nginx here: install Debian's package {_PACKAGE}")
    with folder("nginx") as files:
        log, configuration = files / "error.log", files / "nginx.conf"
        configuration.write_text(_configuration(files, addresses, port, queue_entries), encoding="ascii")
        argv = [program, "-p", str(files), "-c", str(configuration), "-e", str(log)]
        nothing = subprocess.DEVNULL
        server = start_in(endpoint, argv, stdin=nothing, stdout=nothing, stderr=nothing)

        def ready() -> bool:
            if why := _refuses(server, log):
                raise SynguardError(f"nginx does not start: {why}")
            # Seen from outside, so that no connection is made for it.
            listening = call_in(endpoint.namespace, lambda: _listening_sockets(port))
            return listening == len(addresses) and bool(children(server.pid))

        try:
            wait_until(ready, "nginx")
            yield server.pid
        finally:
            _stop(server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    workers = children(server.pid)
    server.terminate()
    try:
        server.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
