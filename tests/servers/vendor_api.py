"""The part of Replicated's Vendor API that lists images, on a free loopback port."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class VendorApi:
    """`images` are the names by application; requests with another token than `token` get 401."""

    images: Mapping[str, Sequence[str]]
    token: str
    origin: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, object]:
        """Return the status and the body for a GET of `path`."""
        numbers = {f"id{number}": app for number, app in enumerate(self.images)}
        if path == "/vendor/v3/apps?excludeChannels=true":
            return 200, {"apps": [{"id": number, "slug": app, "name": app.title()} for number, app in numbers.items()]}
        app = numbers.get(path.removeprefix("/vendor/v3/app/").removesuffix("/images"))
        if app is None:
            return 404, {"error_code": "not_found", "message": "no such thing"}
        return 200, {"images": [{"name": name, "versions": ["1.0"]} for name in self.images[app]]}


@contextlib.contextmanager
def serve_vendor_api(images: Mapping[str, Sequence[str]], token: str) -> Iterator[VendorApi]:
    """Serve it until the block ends."""
    api = VendorApi(images, token)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append(self.path)
            status, body = api.answer(self.path)
            if self.headers.get("Authorization") != api.token:
                status, body = 401, {"error": {"message": "no", "messageCode": "no"}}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            api.origin = f"http://127.0.0.1:{server.server_address[1]}/vendor"
            yield api
        finally:
            server.shutdown()
            thread.join()
