"""Names of repositories and images, by Docker's reference grammar.

The grammar is that of distribution/reference, which the OCI distribution-spec
took over ("Pulling manifests": `<name>` and `<reference>`).
"""

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from replsync.oci.digest import Digest, parse_digest

_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Signatures and attestations of an image, where a registry has no referrers API (distribution-spec, "Referrers Tag
# Schema"; cosign's names, which end with .sig, .att or .sbom, are of the same form).
_REFERRERS = re.compile(r"sha(256|512)-[0-9a-f]{32,}")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")

DOCKER_HUB = "docker.io"


def is_path(text: str) -> bool:
    """Whether `text` is a repository name: lower-case components joined by `/`."""
    return len(text) <= 255 and bool(_PATH.fullmatch(text))


def is_tag(text: str) -> bool:
    """Whether `text` is a tag: at most 128 of `A-Za-z0-9_.-`, not starting with `.` or `-`."""
    return bool(_TAG.fullmatch(text))


def is_referrers_tag(tag: str) -> bool:
    """Whether `tag` stands for what refers to an image, such as its signatures, and for no image."""
    return bool(_REFERRERS.match(tag))


def tag_order(tag: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts tags by the numbers in them: 1.9 comes before 1.10.

    The tag itself decides where values are equal, as for 1.1 and 1.01.
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", tag)
    return [(not part[0].isdigit(), int(part) if part[0].isdigit() else 0, part) for part in parts], tag


def is_host(text: str) -> bool:
    """Whether `text` is a host name or address, with or without a port."""
    return bool(_HOST.fullmatch(text))


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether `host` (with or without a port) is this machine: localhost, 127.0.0.0/8 or ::1."""
    name = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, order=True)
class Repository:
    """`host/path`, for example `registry.replicated.com` and `myapp/worker`."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    def tagged(self, tag: str) -> "Reference":
        """The reference of `tag` in this repository."""
        return Reference(self, tag=tag)

    def at(self, digest: Digest) -> "Reference":
        """The reference of `digest` in this repository."""
        return Reference(self, digest=digest)


@dataclass(frozen=True)
class Reference:
    """A repository with a tag, a digest, both or neither."""

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    @property
    def selector(self) -> str:
        """What goes into the URL of an image manifest: the digest, else the tag.

        Raises ValueError where the reference has neither.
        """
        selector = self.digest or self.tag
        if not selector:
            raise ValueError(f"{self} names no tag and no digest")
        return selector

    def beside(self, digest: Digest) -> "Reference":
        """The reference of `digest` in the same repository."""
        return self.repository.at(digest)

    def with_tag(self, tag: str) -> "Reference":
        """The same reference with `tag` in place of its own."""
        return replace(self, tag=tag)


def parse_reference(text: str) -> Reference:
    """Read `HOST/PATH[:TAG][@DIGEST]`, with Docker's short names for Docker Hub.

    `worker` is `docker.io/library/worker`. No tag is added: a reference
    without one stays without. Raises ValueError that says what is wrong.
    """
    rest, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    tag: str | None = None
    head, colon, tail = rest.rpartition(":")
    if colon and "/" not in tail:
        rest, tag = head, tail
        if not is_tag(tag):
            raise ValueError(f"{tag[:150]!r} is not a tag: it may hold letters, digits, _ . and -, 128 at most")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host, path = first, remainder
    else:
        host, path = DOCKER_HUB, rest
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not is_host(host):
        raise ValueError(f"{host[:150]!r} is not a registry's host")
    if not is_path(path):
        lower = " (upper case is not allowed)" if path != path.lower() else ""
        raise ValueError(f"{path[:300]!r} is not a repository name{lower}")
    return Reference(Repository(host, path), tag, digest)
