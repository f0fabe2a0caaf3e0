"""Asking a token server: the one place where a credential leaves for another server than the registry's."""

from multidict import CIMultiDictProxy

from replsync.errors import SignInError
from replsync.registry.address import host_of
from replsync.registry.credentials import Credential
from replsync.registry.refusal import not_signed_in
from replsync.registry.sign_in import (
    MAX_TOKEN_ANSWER,
    Challenge,
    may_send,
    parse_challenges,
    token_request,
    token_server,
)
from replsync.registry.transport import Answer, Transport

_REFUSED = (400, 401, 403, 404)


def usable_challenge(headers: CIMultiDictProxy[str]) -> Challenge | None:
    """Return the challenge of a 401 that can be met, Bearer rather than Basic; None where there is none."""
    challenges = [one for header in headers.getall("WWW-Authenticate", []) for one in parse_challenges(header)]
    usable = (one for scheme in ("bearer", "basic") for one in challenges if one.scheme == scheme)
    return next(usable, None)


async def ask_for_token(
    transport: Transport,
    operation: str,
    challenge: Challenge,
    registry_origin: str,
    host: str,
    scopes: tuple[str, ...],
    credential: Credential | None,
) -> Answer:
    """Return the token server's answer, refusals excepted, for the registry `host` at `registry_origin`.

    Raises SignInError where the credential may not go there or is refused, RegistryError where no answer came.
    """
    realm = token_server(challenge, registry_origin, host)
    if credential and not may_send(registry_origin, realm):
        # Nor is a credential that is configured for the token server used: with the token that it
        # buys, this registry could act as the user at the other one.
        raise SignInError(
            f"{operation}: the registry's token server {host_of(realm)} is of another site, "
            f"so the credential for {host} is not sent there",
            hint="name the registry by a host of its token server's site, if it has one",
            host=host,
        )
    request = token_request(challenge, realm, scopes, credential)
    answer = await transport.fetch(
        "GET" if request.form is None else "POST",
        request.url,
        request.headers,
        form=request.form,
        limit=MAX_TOKEN_ANSWER,
    )
    if answer.status in _REFUSED:
        user = repr(credential.username) if credential else "nobody"
        raise not_signed_in(operation, host, f"sign-in as {user} was refused with {answer.status}", credential)
    return answer
