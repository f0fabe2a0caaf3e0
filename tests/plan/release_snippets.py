"""What the tests of release references ask about a file: which lines name worker:1.9.3, and what is unresolved."""

from replsync.oci.digest import sha256
from replsync.oci.reference import Reference, parse_reference
from replsync.plan.release_references import Mention, ReleaseFile, mentions, names

WORKER = parse_reference("registry.replicated.com/myapp/worker:1.9.3")
HOSTS = frozenset({"registry.replicated.com", "images.acme.example"})
DIGEST = sha256(b"worker 1.9.3")
OTHER = sha256(b"another")
ANY = frozenset({"myapp/", "myapp/worker"})
"""Images that any document may name."""


def found(text: str | bytes) -> tuple[Mention, ...]:
    data = text.encode() if isinstance(text, str) else text
    return mentions([ReleaseFile("kots/file.yaml", data)], ANY, HOSTS)


def lines_naming(text: str | bytes, tag: Reference = WORKER) -> list[int]:
    """The lines that name the tag, each once."""
    return sorted({mention.line for mention in found(text) if names(mention, tag, HOSTS, DIGEST)})


def unresolved(text: str | bytes) -> list[tuple[int, str]]:
    return [(mention.line, mention.text) for mention in found(text) if mention.reference is None]
