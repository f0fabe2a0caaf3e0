"""The text of a first manifest, with comments on what else it can say. Pure."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from replsync.manifest.adopting import MODELINE
from replsync.manifest.grammar import AppSlug, ImageName, RegistryHost, TagSource, TagText
from replsync.manifest.model import DEFAULT_REGISTRY
from replsync.manifest.spelling import Entry, spelled, spelled_tag
from replsync.oci.reference import Reference
from replsync.oci.source_name import DaemonSource, RegistrySource, parse_source

Part = Literal["app", "registry", "image", "source", "tag"]

_TYPES: dict[Part, Any] = {
    "app": AppSlug,
    "registry": RegistryHost,
    "image": ImageName,
    "source": TagSource,
    "tag": TagText,
}
_FIRST_TAG = "1.0.0"


@dataclass(frozen=True)
class Start:
    """What a first manifest begins with. Each part is fit for a manifest: see `why_not`.

    A tag of the `source` becomes the first tag where no `tag` is given. Without a source there stands one to replace.
    """

    app: str
    registry: str
    image: str
    source: str | None = None
    tag: str | None = None


def why_not(part: Part, text: str) -> str | None:
    """Return why `text` can't be this part of a manifest, with a proposal; None where it can."""
    try:
        TypeAdapter(_TYPES[part]).validate_python(text)
    except ValidationError as error:
        context = error.errors(include_url=False)[0].get("ctx", {})
        said, proposal = str(context.get("explanation", "this is no text")), context.get("proposal")
        return f"{said}; {proposal}" if proposal else said
    return None


def starter(start: Start) -> str:
    """Return the text of the manifest."""
    source, entry = _source(start)
    address = f"{start.registry}/{start.app}/{start.image}"
    own = [f"registry: {spelled(start.registry, in_flow=False)}"]
    other = ["# registry: images.example.com # a custom domain; registry.replicated.com is the default"]
    lines = [
        MODELINE,
        "#",
        "# The images that the application has in its registry: `replsync plan` shows what would change there, and",
        "# `replsync apply` changes it. Lines that start with `#` say nothing until you take that away.",
        "version: 1",
        f"app: {spelled(start.app, in_flow=False)}",
        *(other if start.registry == DEFAULT_REGISTRY else own),
        "# The files of the application's releases: a tag that one of them names is not retired.",
        '# releases: ["kots/**/*.yaml"]',
        "images:",
        f"  - name: {spelled(start.image, in_flow=False)} # {address}",
        *source,
        "    # Tags that may be overwritten with another image. Any other tag never changes once it is pushed.",
        "    # mutable: [latest]",
        "    tags:",
        f"      - {entry} # a tag is text: 1.10 is not 1.1",
        "    # Tags to withdraw: an empty image that says why takes their place. `replsync retire` writes this.",
        "    # retired:",
        '    #   - {tag: 0.9.0, reason: "CVE-2026-1234, use 1.0.0"}',
    ]
    return "\n".join(lines) + "\n"


def _source(start: Start) -> tuple[list[str], str]:
    """The line of the image's source, and the first entry of its tags."""
    if start.source is None:
        placeholder = f"ghcr.io/acme/{start.image}"
        line = f"    source: {placeholder} # REPLACE this: each tag is taken from here, under the same name"
        return [line], spelled_tag(start.tag or _FIRST_TAG)
    match parse_source(start.source):
        case RegistrySource(Reference(repository, tag, None)):
            whole, found = str(repository), tag
        case DaemonSource(Reference(repository, tag, None)):
            whole, found = str(DaemonSource(Reference(repository))), tag
        case _:  # of one image: it goes to the tag
            entry = Entry((("tag", start.tag or _FIRST_TAG), ("source", start.source)))
            return [], entry.in_one_line()
    if start.tag and found and start.tag != found:
        entry = Entry((("tag", start.tag), ("source", start.source)))
        return [], entry.in_one_line()
    line = f"    source: {spelled(whole, in_flow=False)} # each tag is taken from here, under the same name"
    return [line], spelled_tag(start.tag or found or _FIRST_TAG)
