"""A server that keeps what CI scripts keep at GitHub and GitLab: comments, issues, artifacts' names and packages."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "forge-token"


@dataclass
class Forge:
    """What was written to it. `comments` are of the one pull request, `artifacts` as GitHub lists them."""

    url: str = ""
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    packages: dict[str, bytes] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    merged: dict[str, list[str]] = field(default_factory=dict)
    """By commit: the last commits of the pull requests that it merged."""
    is_down: bool = False

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """Answer a request: a status, and JSON or bytes."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        kept: dict[int, dict[str, Any]]
        if self.is_down:
            return 502, {}
        match method, parts.path:
            case "GET", path if found := re.fullmatch("/repos/acme/app/actions/runs/([0-9]+)", path):
                return 200, self.runs[int(found[1])]
            case "GET", path if found := re.fullmatch("/repos/acme/app/commits/([a-z0-9]+)/pulls", path):
                return 200, [{"head": {"sha": sha}} for sha in self.merged.get(found[1], [])]
            case "GET", "/repos/acme/app/issues/7/comments":
                return 200, list(self.comments.values())
            case "POST", "/repos/acme/app/issues/7/comments":
                return 201, self._add(self.comments, {"user": {"type": "Bot"}, **json.loads(body)})
            case "GET", "/repos/acme/app/issues":
                labelled = [one for one in self.issues.values() if query["labels"] in one["labels"]]
                return 200, [one for one in labelled if one["state"] == query["state"]]
            case "POST", "/repos/acme/app/issues":
                return 201, self._add(self.issues, {"state": "open", **json.loads(body)})
            case "GET", "/repos/acme/app/actions/artifacts":
                return 200, {"artifacts": [one for one in self.artifacts if one["name"] == query["name"]]}
            case "PATCH", path if found := re.fullmatch(r"/repos/acme/app/issues/(comments/)?([0-9]+)", path):
                kept = self.comments if found[1] else self.issues
                kept[int(found[2])].update(json.loads(body))
                return 200, kept[int(found[2])]
            case "PUT", path if "/packages/generic/" in path:
                self.packages[path] = body
                return 201, {}
            case "GET", path if path in self.packages:
                return 200, self.packages[path]
            case _:
                return 404, {}

    @staticmethod
    def _add(kept: dict[int, dict[str, Any]], item: dict[str, Any]) -> dict[str, Any]:
        number = len(kept) + 100
        kept[number] = {**item, "id": number, "number": number}
        return kept[number]


@contextlib.contextmanager
def serving() -> Iterator[Forge]:
    """Serve a forge without anything in it until the block ends; it answers those who have TOKEN."""
    forge = Forge()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            allowed = f"Bearer {TOKEN}" == self.headers["Authorization"] or self.headers["JOB-TOKEN"] == TOKEN
            status, said = forge.answer(self.command, self.path, body) if allowed else (401, {})
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        forge.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield forge
        finally:
            server.shutdown()
            thread.join()
