"""What a registry's refusals mean, as errors."""

import copy
import json
from collections.abc import Iterable
from typing import TypeVar

from replsync.errors import NotFound, PermissionDenied, RegistryError, ReplsyncError, SignInError
from replsync.registry.blotting import blotted
from replsync.registry.credentials import Credential

Error = TypeVar("Error", bound=ReplsyncError)

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error's body that are read."""

_ABSENT_CODES = {"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"}
_WRITING = ("push ", "mount ", "open an upload ")
_MAX_MESSAGE = 300
_MAX_ERRORS = 20


def named(operation: str, error: Error, secrets: Iterable[str] = ()) -> Error:
    """Put `operation` in front of an error from below, its class kept, and take `secrets` out of it.

    An error that has the operation stays as it is.
    """
    if error.message.startswith(operation) or isinstance(error, SignInError):
        message = error.message
    else:
        host, _, rest = error.message.partition(": ")
        once = rest if rest and host in operation.split("/")[0].split() else error.message  # the host once is enough
        message = f"{operation}: {once}"
    found = copy.copy(error)
    found.message = blotted(message, secrets)
    found.hint = error.hint and blotted(error.hint, secrets)
    found.args = (found.message,)
    return found


def failure(operation: str, status: int, codes: tuple[str, ...], detail: str, host: str) -> ReplsyncError:
    """Return the error that an answer of the registry's means, save for 401."""
    hint: str | None
    message = f"{operation}: the registry answered {status}{detail}"
    match status:
        case 403:
            return PermissionDenied(message, hint=_permitted(operation, host), host=host)
        case 404 if _ABSENT_CODES & set(codes):
            return NotFound(message, status=status, codes=codes)
        case 404:
            hint = f"is {host} a registry, or a proxy in front of one?"
        case 429:
            hint = "the registry asks for fewer requests: try later, or with a lower --parallelism"
        case 524 | 504:
            hint = (
                "a proxy gave up waiting for one long request: lower transfer.min_chunk_size where its limit is lower, "
                "or make the image's layers smaller"
            )
        case 413:
            hint = "make the image's layers smaller"
        case 400 if "MANIFEST_INVALID" in codes or "UNSUPPORTED" in codes:
            hint = "if BuildKit built the image, build it with --provenance=false --sbom=false"
        case _ if status >= 500:
            hint = "the registry has a fault: try again later"
        case _:
            hint = None
    return RegistryError(message, hint=hint, status=status, codes=codes)


def _permitted(operation: str, host: str) -> str:
    """What to do about a 403: it depends on whether something was to be written."""
    if operation.startswith(_WRITING):
        return (
            "this account may not push here; a customer's licence, for one, only pulls. Sign in with one that may: "
            f"replsync login {host}. On Replicated, the team's right to push may have been withdrawn, too; "
            "replsync doctor says what an account may do"
        )
    return (
        f"this account may not read here. Sign in with one that may: replsync login {host}; and see whether the "
        "repository, and on Replicated the application's slug in it, is the right one"
    )


def read_errors(body: bytes, secrets: Iterable[str] = ()) -> tuple[tuple[str, ...], str]:
    """Return the codes in a registry's error body, and its text in one printable line.

    What a registry says is foreign text: control characters are made
    harmless, `secrets` that it repeats are blotted out, and it is cut.
    """
    try:
        errors = [one for one in json.loads(body)["errors"][:_MAX_ERRORS] if isinstance(one, dict)]
        codes = tuple(_text(one.get("code")) for one in errors)
        said = "; ".join(f"{_text(one.get('code'))}: {_text(one.get('message'))}" for one in errors)
    except (ValueError, KeyError, TypeError, RecursionError):
        return (), ""
    said = blotted(said, secrets)
    printable = "".join(character if character.isprintable() else " " for character in said)
    return codes, printable[:_MAX_MESSAGE]


def _text(value: object) -> str:
    """What is no text, as some registries give it, by its beginning: it may be large."""
    return value if isinstance(value, str) else "" if value is None else str(value)[:_MAX_MESSAGE]


def not_signed_in(operation: str, host: str, answered: str, credential: Credential | None) -> SignInError:
    """Return the error for a sign-in to `host` that failed; `answered` says how, where a credential was sent."""
    if credential is None:
        return SignInError(
            f"{operation}: {host} wants a sign-in, and no credential is configured for it",
            hint=f"sign in: replsync login {host}",
            host=host,
        )
    return SignInError(
        f"{operation}: {answered}; the credential is from {credential.origin}",
        hint=f"correct {credential.origin}"
        if credential.origin.startswith("$")
        else f"sign in again: replsync login {host}",
        host=host,
    )
