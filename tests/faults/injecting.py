"""How each fault is done to an exchange."""

import email.utils
import random
import re
import time
from typing import assert_never

from tests.faults.elsewhere import Elsewhere
from tests.faults.exchange import Exchange, changed, offset_in
from tests.faults.fault import Fault, Rules, What
from tests.faults.kinds import READING, Kind, Position, repository_of
from tests.faults.wire import BrokenMessage, Response, response

PAUSE = 0.1
"""Seconds between two bytes of a slow peer."""

_RETRY_AFTER = 1  # seconds; a whole number, as the header has it
_ABSURD = 10**9
_OTHER_DIGEST = "sha256:" + "5e" * 32
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_SIZE = re.compile(rb'"size":\d*(\d)')
_RANGE = re.compile(r"(\d+)-(\d+)")
_STATUS = {What.S500: 500, What.S502: 502, What.S503: 503, What.S504: 504, What.S524: 524}
_MOUNT = {What.MOUNT_400: (400, "UNSUPPORTED"), What.MOUNT_403: (403, "DENIED"), What.MOUNT_405: (405, "UNSUPPORTED")}


class Injector:
    """Does faults. `seed` chooses what a corrupt byte is turned into; `elsewhere` is where redirects lead to."""

    def __init__(self, rules: Rules, elsewhere: Elsewhere, seed: int) -> None:
        self._rules = rules
        self._elsewhere = elsewhere
        self._chance = random.Random(seed)

    async def inject(self, exchange: Exchange, fault: Fault) -> None:
        """Do `fault` to `exchange`. Raises BrokenMessage where the connection is to end."""
        exchange.seen.fault = fault.what
        await exchange.measure()
        match fault.what:
            case What.RESET | What.TRUNCATED:
                await _reach(exchange, fault.position, in_answer=True)
                await (exchange.client.reset() if fault.what is What.RESET else exchange.client.end())
                raise BrokenMessage(fault.what)
            case What.CORRUPT | What.UNNOTICED:
                await self._corrupt(exchange, fault)
            case What.SLOW:
                await _slow(exchange, fault.position)
            case What.UNAUTHORIZED:
                await _reach(exchange, fault.position)
                await exchange.refuse(401, "UNAUTHORIZED", ("WWW-Authenticate", _challenge(exchange)))
            case What.BUSY_SECONDS:
                await exchange.refuse(429, "TOOMANYREQUESTS", ("Retry-After", str(_RETRY_AFTER)))
            case What.BUSY_DATE:
                date = email.utils.formatdate(time.time() + _RETRY_AFTER, usegmt=True)
                await exchange.refuse(429, "TOOMANYREQUESTS", ("Retry-After", date))
            case What.BUSY_ABSURD:
                await exchange.refuse(429, "TOOMANYREQUESTS", ("Retry-After", str(_ABSURD)))
            case What.S500 | What.S502 | What.S503 | What.S504 | What.S524:
                await _reach(exchange, fault.position)
                await exchange.refuse(_STATUS[fault.what], "")
            case What.S416:
                await exchange.refuse(416, "RANGE_INVALID")
            case What.LOST:
                await _lose(exchange, fault.position)
            case What.LYING_DIGEST | What.LYING_THERE | What.LYING_ABSENT:
                await self._lie(exchange, fault)
            case What.MOUNT_202:
                await exchange.forward(path=exchange.request.path.partition("?")[0])
                await exchange.pass_on()
            case What.MOUNT_400 | What.MOUNT_403 | What.MOUNT_405:
                await exchange.refuse(*_MOUNT[fault.what])
            case What.RANGE_SHORT | What.RANGE_LONG:
                await _misstate(exchange, fault.what)
            case What.LOOP:
                here = f"http://{exchange.own}{exchange.request.path}"
                await exchange.say(*response(307, [("Location", here)]))
            case What.ELSEWHERE:
                await self._send_elsewhere(exchange, fault)
            case _:
                assert_never(fault.what)

    async def _corrupt(self, exchange: Exchange, fault: Fault) -> None:
        # Control characters: JSON has none of them, so that an image manifest isn't one any more.
        value = self._chance.randrange(1, 8)
        if exchange.has_body:
            at = exchange.offset(fault.position)
            if fault.what is What.UNNOTICED:
                at, value = _size_in(await exchange.whole_body())
            await exchange.forward(change=(at, value))
            await exchange.pass_on()
            return
        await exchange.forward()
        head, body = await exchange.hear()
        at = offset_in(len(body), fault.position)
        if fault.what is What.UNNOTICED:
            at, value = _size_in(body)
        await exchange.say(head, changed(body, at, value))

    async def _lie(self, exchange: Exchange, fault: Fault) -> None:
        await exchange.forward()
        head, _ = await exchange.hear()
        is_lie = head.status == (404 if fault.what is What.LYING_THERE else 200)
        if not (is_lie and self._rules.confirm(fault)):
            exchange.seen.fault = None
        elif fault.what is What.LYING_ABSENT:
            head, _ = response(404)
        elif fault.what is What.LYING_DIGEST:
            headers = head.without("Docker-Content-Digest").headers
            head = Response(head.start, [*headers, ("Docker-Content-Digest", _OTHER_DIGEST)])
        else:
            digest = exchange.request.path.rpartition("/")[2]
            stated = digest if ":" in digest else _OTHER_DIGEST
            kind = _OCI_MANIFEST if exchange.kind is Kind.HEAD_MANIFEST else "application/octet-stream"
            headers = [("Docker-Content-Digest", stated), ("Content-Type", kind), ("Content-Length", "1234")]
            head = Response("HTTP/1.1 200 OK", headers)
        await exchange.say(head)

    async def _send_elsewhere(self, exchange: Exchange, fault: Fault) -> None:
        place, path = self._elsewhere, exchange.request.path
        authorization = exchange.request.get("Authorization")
        # A registry wants a sign-in before it sends anybody anywhere.
        if not (authorization and self._rules.confirm(fault)):
            exchange.seen.fault = None
            await exchange.forward()
            await exchange.pass_on()
            return
        place.lend(repository_of(path), authorization)
        if exchange.kind not in (Kind.POST, Kind.PATCH):
            await exchange.say(*response(307, [("Location", f"http://{place.host}{path}")]))
            return
        await exchange.forward()
        head, body = await exchange.hear()
        location = head.get("Location").removeprefix(f"http://{exchange.own}")
        headers = [*head.without("Location").headers, ("Location", f"http://{place.host}{location}")]
        await exchange.say(Response(head.start, headers), body)


def _size_in(manifest: bytes) -> tuple[int, int]:
    """Where the last digit of a size is that nobody checks when an image manifest is put, and another digit."""
    found = list(_SIZE.finditer(manifest))[-1]
    return found.start(1), ord("0") + (found[1][0] - ord("0") + 1) % 10


async def _reach(exchange: Exchange, position: Position, *, in_answer: bool = False) -> None:
    """Let the exchange go on as far as `position`.

    Where there is no body to be in, that is before the registry hears of it;
    or, `in_answer`, when so much of its answer is sent.
    """
    if position is Position.AFTER:
        await exchange.forward()
        await exchange.hear()
    elif position is not Position.FIRST and exchange.has_body:
        await exchange.forward(exchange.offset(position))
        exchange.drop_upstream()
    elif position is not Position.FIRST and in_answer:
        await exchange.forward()
        head, body = await exchange.hear()
        await exchange.client.write(_part(exchange, head, body, position)[0])


def _part(exchange: Exchange, head: Response, body: bytes, position: Position) -> tuple[bytes, bytes]:
    """An answer, cut in two: in its body, or in its head where it has no body."""
    raw = head.encode()
    if head.has_body(exchange.request.method) and body:
        at = len(raw) + offset_in(len(body), position)
        raw += body
    else:
        at = offset_in(len(raw), position)
    return raw[:at], raw[at:]


async def _slow(exchange: Exchange, position: Position) -> None:
    if exchange.has_body and position is not Position.AFTER:
        await exchange.client.sip(PAUSE)
        raise BrokenMessage("slow")
    await exchange.forward()
    head, body = await exchange.hear()
    if position is Position.AFTER:
        position = Position.FIRST
    begun, rest = (b"", head.encode()) if position is Position.FIRST else _part(exchange, head, body, position)
    await exchange.client.write(begun)
    await exchange.client.drip(rest, PAUSE)


async def _lose(exchange: Exchange, position: Position) -> None:
    await _reach(exchange, position)
    if position is not Position.AFTER:
        await exchange.ask("DELETE")
    await exchange.refuse(404, "BLOB_UPLOAD_UNKNOWN")


async def _misstate(exchange: Exchange, what: What) -> None:
    await exchange.forward()
    head, body = await exchange.hear()
    if found := _RANGE.fullmatch(head.get("Range")):
        last = int(found[2])
        stated = last // 2 if what is What.RANGE_SHORT else last + 1000
        head = Response(head.start, [*head.without("Range").headers, ("Range", f"0-{stated}")])
    await exchange.say(head, body)


def _challenge(exchange: Exchange) -> str:
    if exchange.kind is Kind.TOKEN:
        return 'Basic realm="fault"'
    actions = "pull" if exchange.kind in READING else "pull,push"
    scope = f"repository:{repository_of(exchange.request.path)}:{actions}"
    realm = f"http://{exchange.own}/v2/token"
    return f'Bearer realm="{realm}",service="fault",scope="{scope}",error="invalid_token"'
