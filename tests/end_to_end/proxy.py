"""A registry that misbehaves on cue: a proxy in front of a real one, or a script alone."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import assert_never

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
_PATIENCE = 60  # seconds


@dataclass(frozen=True)
class Asked:
    """A request; `path` with its query."""

    method: str
    path: str


@dataclass(frozen=True)
class Reply:
    """An answer of the script's own."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Hold:
    """The real answer, but only the first half of its body: `reached` is set then, and the rest waits for `go_on`."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Cut:
    """The real answer, but the connection ends in the middle of its body; before any of it where it has no body."""


Reaction = Reply | Hold | Cut | None
"""None: the request goes on to the real registry, and its answer comes back as it is."""

Script = Callable[[Asked], Reaction]


@dataclass
class Proxy:
    """A running proxy. `script` may be changed at any time; `asked` grows with each request."""

    host: str
    upstream: str | None
    script: Script
    asked: list[Asked] = field(default_factory=list)


def error(status: int, code: str = "UNKNOWN") -> Reply:
    """An answer with an error in the form that registries share."""
    body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
    return Reply(status, body, (("Content-Type", "application/json"),))


@contextlib.contextmanager
def proxy(upstream: str | None, script: Script) -> Iterator[Proxy]:
    """Serve on a free loopback port until the block ends. Without `upstream` the script answers everything."""
    running: Proxy

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _PATIENCE

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):  # the client went away
                super().handle_one_request()
                return
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path)
            running.asked.append(asked)
            match running.script(asked):
                case Reply(status, content, headers):
                    self.send(status, list(headers), content)
                case Hold() as hold:
                    status, headers_, content = self.forward(body)
                    self.send(status, headers_, content, hold)
                case Cut():
                    status, headers_, content = self.forward(body)
                    self.close_connection = True
                    if content:
                        self.send(status, headers_, content[: len(content) // 2])
                case None:
                    self.send(*self.forward(body))
                case other:
                    assert_never(other)

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            assert running.upstream, f"nothing answers {self.command} {self.path}"
            connection = http.client.HTTPConnection(running.upstream, timeout=_PATIENCE)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():  # a name may come more than once
                    if name.lower() not in _HOP_BY_HOP:
                        connection.putheader(name, value)
                connection.endheaders(body)
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def send(self, status: int, headers: list[tuple[str, str]], content: bytes, hold: Hold | None = None) -> None:
            self.send_response_only(status)
            names = {name.lower() for name, _ in headers}
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            if "content-length" not in names:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            middle = len(content) // 2 if hold else len(content)
            self.wfile.write(content[:middle])
            if hold:
                hold.reached.set()
                hold.go_on.wait(_PATIENCE)
                self.wfile.write(content[middle:])

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - http.server's names

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running = Proxy(f"127.0.0.1:{server.server_address[1]}", upstream, script)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
