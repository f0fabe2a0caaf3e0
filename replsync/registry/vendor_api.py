"""Replicated's Vendor API, version 3: which images an application has in Replicated's registry.

It names images alone, no digests; the registry, which lists no repositories, says the rest.
"""

import json
from collections.abc import Mapping
from typing import Any

from replsync.errors import InvalidInput, RegistryError, ReplsyncError, SignInError
from replsync.oci.reference import is_loopback
from replsync.registry.address import host_of, parse_address
from replsync.registry.transport import Transport

DEFAULT_ORIGIN = "https://api.replicated.com/vendor"
ORIGIN = "REPLICATED_API_ORIGIN"
_MAX_ANSWER = 16 * 1024 * 1024


def api_origin(env: Mapping[str, str]) -> str:
    """Return where the API is, as the vendor's own command line finds it.

    Raises InvalidInput where that is no address to which a token may be sent: https, or this machine.
    """
    text = env.get(ORIGIN) or DEFAULT_ORIGIN
    try:
        url = parse_address(text)
    except ValueError as error:
        raise InvalidInput(
            f"read ${ORIGIN}: it is not an address", hint=f"set it to one such as {DEFAULT_ORIGIN}, or unset it"
        ) from error
    if url.scheme != "https" and not is_loopback(host_of(text)):
        raise InvalidInput(f"read ${ORIGIN}: the token would be sent in the clear", hint="name an address with https")
    return text.rstrip("/")


async def image_names(transport: Transport, origin: str, token: str, app: str) -> tuple[str, ...]:
    """Return the names, below the application, of the images that the application `app` has; sorted.

    Raises SignInError where the token isn't taken, and ReplsyncError where the API has no such application or can't
    be used.
    """
    operation = f"ask the Vendor API for the images of {app}"
    listed = await _get(transport, operation, f"{origin}/v3/apps?excludeChannels=true", token)
    apps = _list(operation, listed, "apps")
    numbers = [one.get("id") for one in apps if one.get("slug") == app]
    if not numbers or not isinstance(numbers[0], str) or not numbers[0].isascii() or not numbers[0].isalnum():
        known = ", ".join(sorted(str(one.get("slug")) for one in apps)[:10])
        raise ReplsyncError(
            f"{operation}: it knows no such application", hint=f"check --app; it knows {known}" if known else None
        )
    found = await _get(transport, operation, f"{origin}/v3/app/{numbers[0]}/images", token)
    names = [str(one.get("name", "")) for one in _list(operation, found, "images")]
    return tuple(sorted({name.removeprefix(f"{app}/") for name in names if name}))


async def _get(transport: Transport, operation: str, url: str, token: str) -> Any:
    # No "Bearer": the API takes the token as it is.
    try:
        answer = await transport.fetch("GET", url, {"Authorization": token}, limit=_MAX_ANSWER)
    except RegistryError as error:
        raise ReplsyncError(f"{operation}: {error.message}", hint="name the images, or try again later") from error
    if answer.status in (401, 403):
        raise SignInError(
            f"{operation}: it answered {answer.status} to the token in $REPLICATED_API_TOKEN",
            hint="renew the token, or name the images",
        )
    if answer.status != 200:
        raise ReplsyncError(f"{operation}: it answered {answer.status}", hint="name the images, or try again later")
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise _no_answer(operation) from error


def _list(operation: str, document: Any, key: str) -> list[dict[str, Any]]:
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list | None) or not all(isinstance(one, dict) for one in found or ()):
        raise _no_answer(operation)
    return found or []


def _no_answer(operation: str) -> ReplsyncError:
    return ReplsyncError(f"{operation}: the answer is not what the API says", hint="name the images")
