"""Ending replsync at a chosen request, and looking at what a registry holds then."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from tests.end_to_end import fork_server
from tests.end_to_end.fork_server import JournalStop, Task
from tests.servers.command import clean_environment
from tests.servers.push import Uploader

_PATIENCE = 60  # seconds
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
_WRITE = re.compile(r"/v2/[^/]+/(?P<image>[^/]+)/(?P<what>blobs|manifests)/(?P<rest>[^?]*)")

Moment = Literal["before", "half", "after"]
"""The registry sees nothing of the request, half of its body, or all of it; replsync never sees the answer."""


@dataclass(frozen=True)
class Stop:
    """Send the signal `number` at the request `step`."""

    step: str
    moment: Moment
    number: int


@dataclass
class Barrier:
    """A proxy on the way to the registry at `upstream`, which counts what is written and ends replsync on cue.

    A step is a request that writes: `POST blob 3`, `PUT worker@sha256:…`, `PUT worker:1.0`.
    """

    upstream: str
    host: str = ""
    stop: Stop | None = None
    steps: list[str] = field(default_factory=list)
    process: "Future[int]" = field(default_factory=Future)
    ended: threading.Event = field(default_factory=threading.Event)
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self, stop: Stop | None) -> None:
        """Begin to count anew."""
        self.stop, self.process, self.ended = stop, Future(), threading.Event()
        self.steps, self._counts = [], Counter()

    def step(self, method: str, path: str) -> str | None:
        """Name the request; None where it only reads."""
        found = _WRITE.match(path)
        if method not in ("POST", "PATCH", "PUT") or not found:
            return None
        with self._lock:
            if found["what"] == "blobs":  # which comes when is a race of the transfers; how many there are is not
                self._counts[method] += 1
                name = f"{method} blob {self._counts[method]}"
            else:
                name = f"{method} {found['image']}{'@' if ':' in found['rest'] else ':'}{found['rest']}"
            self.steps.append(name)
        return name

    def strike(self, number: int) -> None:
        """Send the signal, and hold the request until the process is no more."""
        os.kill(self.process.result(_PATIENCE), number)
        self.ended.wait(_PATIENCE)


@contextlib.contextmanager
def barrier(upstream: str) -> Iterator[Barrier]:
    """Serve on a free loopback port until the block ends."""
    running = Barrier(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _PATIENCE
        disable_nagle_algorithm = True  # 40 ms for each answer otherwise

        def setup(self) -> None:
            super().setup()
            self.upstream = http.client.HTTPConnection(upstream, timeout=_PATIENCE)

        def finish(self) -> None:
            self.upstream.close()
            with contextlib.suppress(ConnectionError):
                super().finish()

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # it was killed
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            step, stop = running.step(self.command, self.path), running.stop
            moment = stop.moment if stop and step == stop.step else None
            if moment == "half":
                self.forward(body, len(body) // 2)
                self.upstream.close()
            elif moment != "before":
                self.forward(body, len(body))
                response = self.upstream.getresponse()
                content = response.read()
                if not moment:
                    self.send(response, content)
            if stop and moment:
                running.strike(stop.number)
                self.close_connection = True

        def forward(self, body: bytes, size: int) -> None:
            self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.upstream.putheader(name, value)
            self.upstream.endheaders()
            if size:
                self.upstream.send(body[:size])

        def send(self, response: http.client.HTTPResponse, content: bytes) -> None:
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            if not response.headers["Content-Length"]:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - http.server's names

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, or the signal that killed it as a negative number."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Runs:
    """Starts replsync in one process after the other; `home` is the user's."""

    server: "subprocess.Popen[str]"
    home: Path

    def run(self, through: Barrier, folder: Path, *args: str | Path, stop: Stop | JournalStop | None = None) -> Ended:
        """Run `replsync ARGS` in `folder` to its end, however that comes."""
        assert self.server.stdin
        assert self.server.stdout
        through.reset(stop if isinstance(stop, Stop) else None)
        out, err = self.home / "out", self.home / "err"
        at_journal = stop if isinstance(stop, JournalStop) else None
        environment = clean_environment(self.home)
        task = Task(tuple(map(str, args)), str(folder), environment, str(out), str(err), at_journal)
        self.server.stdin.write(task.line())
        self.server.stdin.flush()
        through.process.set_result(int(self.server.stdout.readline()))
        status = int(self.server.stdout.readline())
        through.ended.set()
        return Ended(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())


@contextlib.contextmanager
def runs(home: Path) -> Iterator[Runs]:
    """Have the fork server until the block ends."""
    command = [sys.executable, "-W", "error", "-m", fork_server.__name__]
    server = subprocess.Popen(
        command, env=clean_environment(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Runs(server, home)
    finally:
        assert server.stdin
        server.stdin.close()
        server.wait(_PATIENCE)
        assert server.stdout
        server.stdout.close()


@dataclass(frozen=True)
class Reader:
    """Reads what the images of `app` are, by plain HTTP and without any of replsync's code.

    `uploaders` has a client for each image.
    """

    uploaders: Mapping[str, Uploader]
    app: str

    def digests(self) -> dict[str, str]:
        """The digest of every tag, by `image:tag`."""
        return {tag: _digest(content) for tag, content in self._tags().items()}

    def contents(self) -> dict[str, object]:
        """All that each tag refers to, with the application's name left out: the same for every application.

        Fails where anything that a tag refers to isn't there, or isn't what its digest says.
        """
        return {tag: self._below(tag.partition(":")[0], content) for tag, content in self._tags().items()}

    def labels(self, tag: str) -> Mapping[str, str]:
        """The labels of the tag's image."""
        image, _, name = tag.partition(":")
        config = json.loads(self._manifest(image, name))["config"]["digest"]
        found: dict[str, str] = json.loads(self._get(image, f"blobs/{config}"))["config"]["Labels"]
        return found

    def _tags(self) -> dict[str, bytes]:
        names = [f"{image}:{tag}" for image in self.uploaders for tag in self._list(image)]
        return {name: self._manifest(*name.split(":")) for name in names}

    def _below(self, image: str, content: bytes) -> object:
        document = json.loads(content)
        if "manifests" in document:
            children = [self._manifest(image, entry["digest"]) for entry in document["manifests"]]
            for entry, child in zip(document["manifests"], children, strict=True):
                assert _digest(child) == entry["digest"]
            return [_digest(content), *(self._below(image, child) for child in children)]
        blobs = []
        for descriptor in (document["config"], *document["layers"]):
            blob = self._get(image, f"blobs/{descriptor['digest']}")
            assert (_digest(blob), len(blob)) == (descriptor["digest"], descriptor["size"]), descriptor
            blobs.append(_digest(blob.replace(self.app.encode(), b"APP")))
        return [document["mediaType"], *blobs]

    def _list(self, image: str) -> list[str]:
        answer = self.uploaders[image].request("GET", f"/v2/{self.app}/{image}/tags/list")
        return sorted(json.loads(answer.body)["tags"] or ()) if answer.status == 200 else []

    def _manifest(self, image: str, name: str) -> bytes:
        return self._get(image, f"manifests/{name}")

    def _get(self, image: str, path: str) -> bytes:
        answer = self.uploaders[image].request("GET", f"/v2/{self.app}/{image}/{path}", headers={"Accept": _ACCEPTED})
        assert answer.status == 200, f"{image}/{path}: {answer.status} {answer.body!r}"
        return answer.body


_ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def journals(folder: Path) -> list[Path]:
    """The journals of the manifest in `folder`, oldest first."""
    found = (folder / ".replsync" / "journal").glob("*.jsonl")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def assert_journal_is_true(path: Path | None, before: Mapping[str, str], now: Mapping[str, str], host: str) -> None:
    """What the whole lines say agrees with what the registry holds: digests by `image:tag` before the run and now."""
    last: dict[str, Any] = {}
    for line in path.read_bytes().split(b"\n")[:-1] if path else ():
        entry = json.loads(line)
        assert entry["reference"].startswith(f"{host}/")
        last[f"{entry['image']}:{entry['reference'].rpartition(':')[2]}"] = entry
    for tag in before.keys() | now.keys() | last.keys():
        held = now.get(tag)
        if tag not in last:
            assert held == before.get(tag), f"{tag} was written, and the journal doesn't say so"
            continue
        entry = last[tag]
        assert (entry["before"] or {}).get("digest") == before.get(tag), entry
        if entry["event"] == "wrote":
            assert held == entry["after"]["digest"], entry
        else:
            assert held in (before.get(tag), entry["after"]["digest"]), entry


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
