"""Another server that a registry may send clients to, such as an object store: it must not get their credentials."""

import contextlib

from tests.faults.exchange import Exchange
from tests.faults.kinds import kind_of, repository_of
from tests.faults.wire import BrokenMessage, Request, Wire


class Elsewhere:
    """Does what is asked with credentials that it was lent, and remembers who sent it some."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.host = ""
        self.asked: list[str] = []
        self.leaks: list[str] = []
        self._lent: dict[str, str] = {}

    def lend(self, repository: str, authorization: str) -> None:
        """Sign requests about `repository` so."""
        self._lent[repository] = authorization

    async def serve(self, client: Wire) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(BrokenMessage, OSError):
            while head := await client.read_head():
                request = Request(head.start, head.headers)
                asked = f"{request.method} {request.path}"
                self.asked.append(asked)
                if request.get("Authorization"):
                    self.leaks.append(asked)
                lent = self._lent.get(repository_of(request.path), "")
                signed = request.without("Authorization")
                signed.headers += [("Authorization", lent)] if lent else []
                exchange = Exchange(client, signed, kind_of(request), self.upstream, self.host, None)
                try:
                    await exchange.forward()
                    await exchange.pass_on()
                finally:
                    exchange.drop_upstream()
