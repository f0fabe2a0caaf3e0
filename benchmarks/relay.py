"""A TCP relay that holds back every byte for a while, as a long line does.

It runs as a script of its own: `relay.py HOST:PORT SECONDS` listens on a free port of
the same address, prints it, and passes on what it gets after SECONDS, in each direction. A new
connection carries nothing before two such times have gone by, since a handshake needs them.
There is no limit on bandwidth but one on what is under way in each direction of a connection,
as a TCP window is.
"""

import heapq
import selectors
import socket
import sys
import time
from collections import deque

_WINDOW = 16 << 20  # bytes under way in one direction of a connection
_PIECE = 256 << 10  # bytes
_BACKLOG = 1024


class Flow:
    """One direction of a connection."""

    def __init__(self, source: "End", sink: "End") -> None:
        self.source, self.sink = source, sink
        self.due: deque[memoryview] = deque()  # may be sent now
        self.under_way = 0
        self.read_all = False  # the source has sent all that it will
        self.ended = False  # and that has arrived


class End:
    """One socket of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.open = True
        self.reads = False
        self.writes = False
        self.out: Flow
        self.into: Flow


class Relay:
    """Everything that is under way."""

    def __init__(self, upstream: tuple[str, int], delay: float) -> None:
        self._upstream, self._delay = upstream, delay
        self._listener = socket.create_server((upstream[0], 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        # The delay is the same for all, but a handshake waits for two: a heap keeps them in order.
        self._later: list[tuple[float, int, Flow, memoryview | None]] = []
        self._number = 0
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Serve until the process is ended."""
        while True:
            for key, events in self._selector.select(self._patience()):
                if key.data is None:
                    self._accept()
                    continue
                end: End = key.data
                if events & selectors.EVENT_READ and end.open:
                    self._read(end)
                if events & selectors.EVENT_WRITE and end.open:
                    self._write(end.into)
            self._deliver()

    def _patience(self) -> float | None:
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None

    def _after(self, delay: float, flow: Flow, data: memoryview | None) -> None:
        self._number += 1
        heapq.heappush(self._later, (time.monotonic() + delay, self._number, flow, data))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            try:
                upstream = socket.create_connection(self._upstream)
            except OSError:
                sock.close()
                continue
            near, far = End(sock), End(upstream)
            near.out = far.into = Flow(near, far)
            far.out = near.into = Flow(far, near)
            self._watch(far, reads=True)
            self._after(2 * self._delay, near.out, memoryview(b""))  # the handshake: then the client is read

    def _read(self, end: End) -> None:
        flow = end.out
        try:
            data = end.sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._close(end)
            return
        if not data:
            flow.read_all = True
            self._watch(end, reads=False)
            self._after(self._delay, flow, None)
            return
        flow.under_way += len(data)
        self._after(self._delay, flow, memoryview(data))
        if flow.under_way >= _WINDOW:
            self._watch(end, reads=False)

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, flow, data = heapq.heappop(self._later)
            if not flow.sink.open:
                continue
            if data is None:
                flow.ended = True
            elif data:
                flow.due.append(data)
            else:
                self._watch(flow.source, reads=True)
                continue
            self._write(flow)

    def _write(self, flow: Flow) -> None:
        try:
            while flow.due:
                sent = flow.sink.sock.send(flow.due[0])
                flow.under_way -= sent
                if sent == len(flow.due[0]):
                    flow.due.popleft()
                else:
                    flow.due[0] = flow.due[0][sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._close(flow.sink)
            return
        self._watch(flow.sink, writes=bool(flow.due))
        if flow.under_way < _WINDOW and not flow.read_all:
            self._watch(flow.source, reads=True)
        if flow.ended and not flow.due:
            self._finish(flow)

    def _finish(self, flow: Flow) -> None:
        try:
            flow.sink.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(flow.sink)
            return
        if flow.sink.out.ended and not flow.sink.out.due:
            self._close(flow.sink)

    def _close(self, end: End) -> None:
        for each in (end, end.out.sink):
            if each.open:
                self._watch(each, reads=False, writes=False)
                each.open = False
                each.sock.close()

    def _watch(self, end: End, *, reads: bool | None = None, writes: bool | None = None) -> None:
        if not end.open:
            return
        before = end.reads or end.writes
        wanted = (end.reads if reads is None else reads, end.writes if writes is None else writes)
        if wanted == (end.reads, end.writes):
            return
        end.reads, end.writes = wanted
        events = (selectors.EVENT_READ if end.reads else 0) | (selectors.EVENT_WRITE if end.writes else 0)
        if not events:
            self._selector.unregister(end.sock)
        elif before:
            self._selector.modify(end.sock, events, end)
        else:
            self._selector.register(end.sock, events, end)


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    relay = Relay((host, int(port)), float(sys.argv[2]))
    sys.stdout.write(f"{host}:{relay.port}\n")
    sys.stdout.flush()
    relay.run()
