"""The texts in a manifest: what each may hold, and a proposal where one doesn't.

Each type carries its check and the JSON Schema that an editor uses. A check
raises a pydantic error of type `refused` whose context has the explanation
and, where there is one, the proposal.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from replsync.manifest.byte_size import MAX_DIGITS, SIZE_PATTERN, likely_size, parse_size
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.platform import Platform, parse_platform, right_name
from replsync.oci.reference import Reference, is_host, is_path, is_tag
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource, SourceName, parse_source

MAX_REASON = 500
"""Characters of a reason: it becomes a label, and a sentence in a container runtime's error."""

MAX_PARALLELISM = 256
LEAST_LARGEST_CHUNK = 64_000
"""Bytes: with less in one request an upload is nothing but round trips."""

_MAX_PATTERN = 255
_MAX_SOURCE = 900
"""Characters: a source is a key in the lock file, and YAML ends keys at 1024."""
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"

TAG_SCHEMA = {"type": ["string", "number"], "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"}
_NAME_SCHEMA = {"type": "string", "maxLength": 255, "pattern": f"^{_COMPONENT}(?:/{_COMPONENT})*$"}
_APP_SCHEMA = {"type": "string", "maxLength": 255, "pattern": f"^{_COMPONENT}$"}
_REGISTRY_SCHEMA = {
    "type": "string",
    "pattern": rf"^(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?$",
}
_DIGEST_SCHEMA = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_SOURCE_SCHEMA = {"type": "string", "pattern": r"^(?!https?://)\S+$"}
_PLATFORM_SCHEMA = {"type": "string", "pattern": "^[a-z0-9]+(?:/[a-z0-9_]+){1,2}$"}
_PATTERN_SCHEMA = {
    "type": ["string", "number"],
    "maxLength": _MAX_PATTERN,
    "pattern": r"^[A-Za-z0-9_.*?!\[\]-]+$",
}
_GLOB_SCHEMA = {"type": "string", "maxLength": _MAX_PATTERN, "pattern": r"^[^/\\\u0000-\u001f][^\\\u0000-\u001f]*$"}
_COUNT_SCHEMA = {"type": "integer", "minimum": 0}
_SIZE_SCHEMA = {
    "type": ["string", "integer"],
    "minimum": 1,
    "maximum": 10**MAX_DIGITS - 1,
    "pattern": SIZE_PATTERN,
}
_LARGEST_CHUNK_SCHEMA = {**_SIZE_SCHEMA, "minimum": LEAST_LARGEST_CHUNK}
_PARALLELISM_SCHEMA = {"type": "integer", "minimum": 1, "maximum": MAX_PARALLELISM}
_TRUTH_SCHEMA = {"type": "boolean"}
_REASON_SCHEMA = {
    "type": "string",
    "maxLength": MAX_REASON,
    "pattern": rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$",
}


def refused(explanation: str, proposal: str | None = None) -> PydanticCustomError:
    """Return the error of a text that is outside its grammar."""
    return PydanticCustomError("refused", "{explanation}", {"explanation": explanation, "proposal": proposal})


def _tag(text: str) -> str:
    if is_tag(text):
        return text
    proposal = None
    name, colon, tail = text.rpartition(":")
    candidate = re.sub(r"[^A-Za-z0-9_.-]+", "-", text.strip()).strip(".-")
    if "," in text:
        proposal = "give each tag an entry of its own"
    elif colon and is_path(name) and is_tag(tail):
        proposal = f"write `{tail}`: the image's name is in `name`"
    elif is_tag(candidate):
        proposal = f"did you mean `{candidate}`?"
    raise refused("a tag is 1 to 128 letters, digits, `_`, `.` or `-`, and starts with no `.` or `-`", proposal)


def _name(text: str) -> str:
    first, _, rest = text.partition("/")
    if rest and is_host(first) and (":" in first or f".{first}".endswith(".replicated.com")):
        inner = rest.partition("/")[2] or rest
        raise refused(
            "a name is the path below the application: the registry and the application are added to it",
            f"write `{inner}`" if is_path(inner) else None,
        )
    if is_path(text):
        return text
    name, colon, tail = text.rpartition(":")
    if colon and is_path(name) and is_tag(tail):
        proposal: str | None = f"write `{name}` here, and `{tail}` below `tags`"
    else:
        proposal = _lower_case(text)
    raise refused(
        "a name is lower-case letters and digits, with `.`, `_` or `-` between them, in parts joined by `/`", proposal
    )


def _app(text: str) -> str:
    if is_path(text) and "/" not in text:
        return text
    app, slash, rest = text.partition("/")
    if slash and is_path(text):
        proposal: str | None = f"write `{app}` here, and begin the names of its images with `{rest}/`"
    else:
        proposal = _lower_case(text)
    raise refused(
        "an application's slug is lower-case letters and digits, with `.`, `_` or `-` between them, without `/`",
        proposal,
    )


def _lower_case(text: str) -> str | None:
    candidate = re.sub(r"[^a-z0-9._/-]+", "-", text.lower()).strip("._/-")
    return f"did you mean `{candidate}`?" if is_path(candidate) else None


def _registry(text: str) -> str:
    if is_host(text):
        return text
    bare = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", text.strip()).partition("/")[0].rpartition("@")[2]
    raise refused(
        "a registry is HOST or HOST:PORT, without a scheme or a path",
        f"did you mean `{bare}`?" if is_host(bare) else None,
    )


def _digest(value: object) -> Digest:
    text = text_of(value)
    try:
        digest = parse_digest(text)
    except ValueError:
        pass
    else:
        if digest.startswith("sha256:"):
            return digest
        raise refused("a digest is `sha256:` and 64 lower-case hex digits; registries tell no other")
    hexadecimal = text.strip().lower().removeprefix("sha256").lstrip(":-")
    is_hexadecimal = bool(re.fullmatch("[0-9a-f]+", hexadecimal))
    explanation = "a digest is `sha256:` and 64 lower-case hex digits"
    if is_hexadecimal and len(hexadecimal) == 64:
        raise refused(explanation, f"did you mean `sha256:{hexadecimal}`?")
    if is_hexadecimal and text.startswith("sha256:"):
        explanation += f", here are {len(hexadecimal)}"
    raise refused(explanation)


def _source(value: object) -> SourceName:
    if isinstance(value, SourceName):
        return value
    text = text_of(value)
    if not text:
        raise refused("a source is the name of an image, such as `ghcr.io/acme/worker`")
    try:
        source = parse_source(text)
    except ValueError as error:
        raise refused(str(error), _likely_source(text)) from error
    if " " in text:
        raise refused("a source has no blanks in it", "rename the file or folder")
    if len(text) > _MAX_SOURCE:
        raise refused(f"a source has at most {_MAX_SOURCE} characters, here are {len(text)}")
    return source


def _likely_source(text: str) -> str | None:
    bare = re.sub(r"^https?://", "", text.strip())
    path, colon, tag = bare.rpartition(":")
    for candidate in (bare, bare.lower(), f"{path.lower()}{colon}{tag}"):
        try:
            parse_source(candidate)
        except ValueError:
            continue
        return f"did you mean `{candidate}`?"
    return None


def _image_source(value: object) -> SourceName:
    source = _source(value)
    match source:
        case RegistrySource(Reference(repository, tag, digest)) if tag or digest:
            proposal = f"write `{repository}`; a tag that comes from elsewhere gets a `source` of its own"
        case DaemonSource(Reference(repository, tag)) if tag:
            bare = DaemonSource(Reference(repository))
            proposal = f"write `{bare}`; a tag that comes from elsewhere gets a `source` of its own"
        case LayoutSource() if source.name or source.digest:
            bare_layout = LayoutSource(source.path, is_archive=source.is_archive)
            proposal = f"write `{bare_layout}`; a tag that comes from elsewhere gets a `source` of its own"
        case SavedSource(path, None):
            raise refused(
                "the source of a whole image says which of the archive's names it is",
                f"write `{source}:NAME`, or give it to one tag: `{{tag: …, source: {source}}}`",
            )
        case SavedSource(path, Reference(repository, tag)) if tag:
            proposal = f"write `{SavedSource(path, Reference(repository))}`; a tag that comes from elsewhere gets a "
            proposal += "`source` of its own"
        case DaemonSource(str()):
            proposal = f"give it to one tag: `{{tag: …, source: {source}}}`"
        case _:
            return source
    raise refused(
        "the source of a whole image names no tag and no digest, each tag is looked up there by its own name", proposal
    )


def _platform(value: object) -> Platform:
    if isinstance(value, Platform):
        return value
    text = text_of(value)
    try:
        return parse_platform(text)
    except ValueError as error:
        raise refused(str(error), _likely_platform(text)) from error


def _platforms(platforms: tuple[Platform, ...]) -> tuple[Platform, ...]:
    # Left out it is empty, too; but then this isn't asked.
    if not platforms:
        raise PydanticCustomError("no_platforms", "an empty list")
    return platforms


def _likely_platform(text: str) -> str | None:
    bare = text.strip().lower()
    right = right_name(bare)
    for candidate in (bare, right, f"linux/{bare}", f"linux/{right}"):
        try:
            return f"did you mean `{parse_platform(candidate)}`?"
        except ValueError:
            continue
    return None


def _pattern(text: str) -> str:
    if 1 <= len(text) <= _MAX_PATTERN and re.fullmatch(r"[A-Za-z0-9_.*?!\[\]-]+", text):
        if "[" in re.sub(r"\[!?.[^\]]*\]", "", text):
            raise refused("the `[` in it is never closed, and no tag has a `[`", "write `[…]`, such as `v[0-9]*`")
        return text
    raise refused(
        f"a pattern is 1 to {_MAX_PATTERN} letters, digits, `_`, `.` or `-`, with the wildcards `*`, `?` and `[…]`",
        "give each pattern an entry of its own" if re.search(r"[,\s]", text.strip()) else None,
    )


def _glob(text: str) -> str:
    if not 1 <= len(text) <= _MAX_PATTERN or not text.isprintable() or "\\" in text:
        raise refused(f"a pattern of files is 1 to {_MAX_PATTERN} printable characters, its folders joined by `/`")
    if text.startswith("/"):
        raise refused("a pattern of files starts from the manifest's folder", "remove the `/` in front")
    return text


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    text = text_of(value)
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    raise refused("a count is a whole number, 0 or more")


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    text = text_of(value)
    try:
        return parse_size(text)
    except ValueError as error:
        near = likely_size(text)
        raise refused(
            "a size is a whole number of bytes above 0, such as `500MB`, `1.9GB`, `2GiB` or `1900000000`",
            f"did you mean `{near}`?" if near else None,
        ) from error


def _largest_chunk(value: object) -> int:
    size = _size(value)
    if size < LEAST_LARGEST_CHUNK:
        raise refused("one request may be held to 64KB, and to no less", "write `64KB`, or more")
    return size


def _parallelism(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_PARALLELISM:
        return value
    text = text_of(value)
    if re.fullmatch("[0-9]{1,3}", text) and 1 <= int(text) <= MAX_PARALLELISM:
        return int(text)
    raise refused(f"this is a whole number from 1 to {MAX_PARALLELISM}")


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = text_of(value)
    if text in ("true", "false"):
        return text == "true"
    near = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), text.lower())
    raise refused("this is `true` or `false`", f"did you mean `{near}`?" if near in ("true", "false") else None)


def _reason(text: str) -> str:
    if not text.strip():
        raise refused("a reason may not be blank", "say why, and what to use instead")
    if len(text) > MAX_REASON:
        raise refused(f"a reason has at most {MAX_REASON} characters, here are {len(text)}")
    if not text.isprintable():
        joined = " ".join(text.split())
        raise refused(
            "a reason is one line of printable characters",
            f"write it in one line: {joined}" if joined.isprintable() else None,
        )
    return text


def text_of(value: object) -> str:
    """Return `value`, which has to be a text. Raises pydantic's error where it isn't."""
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


TagText = Annotated[str, AfterValidator(_tag), WithJsonSchema(TAG_SCHEMA)]
ImageName = Annotated[str, AfterValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
AppSlug = Annotated[str, AfterValidator(_app), WithJsonSchema(_APP_SCHEMA)]
RegistryHost = Annotated[str, AfterValidator(_registry), WithJsonSchema(_REGISTRY_SCHEMA)]
PlatformText = Annotated[
    Platform, PlainValidator(_platform), PlainSerializer(str, return_type=str), WithJsonSchema(_PLATFORM_SCHEMA)
]
Platforms = Annotated[tuple[PlatformText, ...], AfterValidator(_platforms)]
TagPattern = Annotated[str, AfterValidator(_pattern), WithJsonSchema(_PATTERN_SCHEMA)]
Glob = Annotated[str, AfterValidator(_glob), WithJsonSchema(_GLOB_SCHEMA)]
Count = Annotated[int, PlainValidator(_count), WithJsonSchema(_COUNT_SCHEMA)]
ByteSize = Annotated[int, PlainValidator(_size), WithJsonSchema(_SIZE_SCHEMA)]
LargestChunk = Annotated[int, PlainValidator(_largest_chunk), WithJsonSchema(_LARGEST_CHUNK_SCHEMA)]
Parallelism = Annotated[int, PlainValidator(_parallelism), WithJsonSchema(_PARALLELISM_SCHEMA)]
Truth = Annotated[bool, PlainValidator(_truth), WithJsonSchema(_TRUTH_SCHEMA)]
Reason = Annotated[str, AfterValidator(_reason), WithJsonSchema(_REASON_SCHEMA)]
PinnedDigest = Annotated[Digest, PlainValidator(_digest), WithJsonSchema(_DIGEST_SCHEMA)]
TagSource = Annotated[
    SourceName, PlainValidator(_source), PlainSerializer(str, return_type=str), WithJsonSchema(_SOURCE_SCHEMA)
]
ImageSource = Annotated[
    SourceName, PlainValidator(_image_source), PlainSerializer(str, return_type=str), WithJsonSchema(_SOURCE_SCHEMA)
]
