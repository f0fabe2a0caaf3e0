"""The model of `replicated-images.yaml`, version 1. "Manifest" alone always means this file.

In code, None means that a key is not there; in the file an empty value is a
fault, so that a slip is not read as a decision.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from replsync.manifest.build import Build
from replsync.manifest.contradictions import (
    Contradiction,
    image_contradictions,
    policy_contradictions,
    repeated_images,
    transfer_contradictions,
)
from replsync.manifest.grammar import (
    MAX_REASON,
    AppSlug,
    ByteSize,
    Count,
    Glob,
    ImageName,
    ImageSource,
    LargestChunk,
    Parallelism,
    PinnedDigest,
    Platforms,
    Reason,
    RegistryHost,
    TagPattern,
    TagSource,
    TagText,
    Truth,
    refused,
)
from replsync.manifest.select import Select
from replsync.oci.build_source import BuildSource
from replsync.oci.recipe import Transforms
from replsync.oci.source_name import (
    DaemonSource,
    LayoutSource,
    RegistrySource,
    SavedSource,
    SourceName,
    pinned,
    source_for_tag,
)

VERSION = 1
DEFAULT_REGISTRY = "registry.replicated.com"
DEFAULT_PARALLELISM = 32
DEFAULT_MIN_CHUNK = 1_000_000
DEFAULT_MAX_CHUNK = 1_000_000_000

_DIGEST_EXAMPLE = "sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"


def _this_version(number: int) -> int:
    if number == VERSION:
        return number
    if number > VERSION:
        raise PydanticCustomError("newer_version", "this replsync reads version 1")
    raise refused("the version of a manifest is 1", "write `version: 1`")


def _some(images: tuple["Image", ...]) -> tuple["Image", ...]:
    # Not min_length, which would count the sound entries only.
    if not images:
        raise PydanticCustomError("no_images", "a manifest has one image at least")
    return images


def _refuse(contradictions: Sequence[Contradiction]) -> None:
    if contradictions:
        raise PydanticCustomError("contradiction", "{message}", {"message": contradictions[0].message})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Tag(_Part):
    """A tag that the registry should have. In the file a plain tag stands for a mapping with nothing else in it."""

    tag: TagText = Field(
        description="The tag, as text: 1.10 stays 1.10 and needs no quotes. Quotes are needed for one that YAML "
        "reads as nothing (null), or that editors read as no text (true, 2024-01-01).",
        examples=["1.10", "latest"],
    )
    source: TagSource | None = Field(
        default=None,
        description="Where this tag comes from, in place of the image's source: [docker://]HOST/PATH[:TAG][@DIGEST], "
        "docker-daemon:NAME[:TAG], oci:FOLDER[:NAME], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME[:TAG]]. "
        "Without a tag in it, the tag of the same name is taken; of a folder or file without NAME, the only image in "
        "it. Paths start from this file's folder.",
        examples=["ghcr.io/acme/worker:1.11.0", "docker-daemon:worker:dev", "docker-archive:dist/worker.tar"],
    )
    build: Build | None = Field(
        default=None,
        description="How this tag's image is built, in place of a source. Without it, and without a source, the "
        "image's own `source` or `build` is taken.",
        examples=[{"context": "./worker", "target": "prod"}],
    )
    digest: PinnedDigest | None = Field(
        default=None,
        description="Pins the tag to this digest. Without any source the tag is adopted: the registry should go on "
        "having exactly this.",
        examples=[_DIGEST_EXAMPLE],
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"tag": data} if isinstance(data, str) else data


class Retired(_Part):
    """A tag that should be replaced by a tombstone."""

    tag: TagText = Field(description="The tag to retire, as text.", examples=["1.9.3"])
    reason: Reason = Field(
        description="Why, and what to use instead: shown to whoever pulls the tag. One line of 1 to "
        f"{MAX_REASON} printable characters.",
        examples=["CVE-2026-1234, use 1.10"],
    )
    even_if_referenced: Truth = Field(
        default=False,
        description="Retire the tag although a file of `releases` names it. Whoever installs that release pulls the "
        "tombstone.",
        examples=[True],
    )


class Image(_Part):
    """An image of the application. It needs a source, a tag or a retired tag: a bare name would say nothing."""

    name: ImageName = Field(
        description="The image's path below the application; it may hold `/`.",
        examples=["worker", "tools/migrate"],
    )
    source: ImageSource | None = Field(
        default=None,
        description="Where tags without a source of their own come from: [docker://]HOST/PATH, "
        "docker-daemon:NAME, oci:FOLDER, oci-archive:FILE or docker-archive:FILE:NAME, without a tag or digest. Each "
        "tag is looked up there by its own name. Paths start from this file's folder.",
        examples=["ghcr.io/acme/worker", "docker-daemon:worker", "oci:dist/worker"],
    )
    build: Build | None = Field(
        default=None,
        description="How the image is built, in place of a source, for every tag without a source or build of its own.",
        examples=[{"context": "./worker"}],
    )
    platforms: Platforms = Field(
        default=(),
        description="The platforms to push, as OS/ARCHITECTURE[/VARIANT]; each must be there. Of an image for several "
        "platforms the others are left out. Left out, all that the source has are pushed.",
        examples=[["linux/amd64", "linux/arm64"]],
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    mutable: tuple[TagPattern, ...] = Field(
        default=(),
        description="Tags that may be overwritten with another image, as patterns with *, ? and […]. Any other tag "
        "is immutable once it is pushed. A pattern that starts with * needs quotes.",
        examples=[["latest", "edge-*"]],
    )
    tags: tuple[Tag, ...] = Field(
        default=(),
        description="Tags that the registry should have. One with neither a source nor a digest must merely exist.",
        examples=[["1.10", {"tag": "1.11.0", "source": "docker-daemon:worker:dev"}]],
    )
    select: Select | None = Field(
        default=None,
        description="Which of the source's tags are taken besides those under `tags`, by the same names. It needs a "
        "source that is a repository in a registry.",
        examples=[{"semver": ">=1.8 <2", "newest": 5}],
    )
    retired: tuple[Retired, ...] = Field(
        default=(),
        description="Tags that should be replaced by a tombstone: an empty image that says what it replaced and why.",
        examples=[[{"tag": "1.9.3", "reason": "CVE-2026-1234, use 1.10"}]],
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _refuse(image_contradictions(self))
        return self

    def is_mutable(self, tag: str) -> bool:
        """Whether `tag` may be overwritten with another image (the semantics of `fnmatch.fnmatchcase`)."""
        return any(fnmatchcase(tag, pattern) for pattern in self.mutable)

    def source_of(self, tag: Tag) -> SourceName | None:
        """Where the image for `tag` comes from: its own source or build, else this image's, by its digest if any.

        None where there is no source: the tag must exist already, with its
        digest if it has one.
        """
        build = tag.build or (None if tag.source else self.build)
        if build is not None:
            return build.source(self.platforms)
        source = tag.source or self.source
        if source is None:
            return None
        source = source_for_tag(source, tag.tag, is_own=tag.source is not None)
        match source:
            case RegistrySource() | LayoutSource() if tag.digest:
                return pinned(source, tag.digest)
            case _:
                return source


class Policy(_Part):
    """What to do where the file says nothing."""

    unlisted: Literal["report", "ignore", "tombstone"] = Field(
        default="report",
        description="What happens to tags that a listed image has in the registry and that this file doesn't name, "
        "nor another manifest of the same run: they are reported, ignored, or replaced by a tombstone.",
        examples=["report"],
    )
    max_tombstones: Count = Field(
        default=20,
        description="How many tags one run may replace by tombstones: a plan with more is blocked. It stands against "
        "accidents, such as a list that was cut off.",
        examples=[20],
    )
    attestations: Literal["strip", "reject"] = Field(
        default="strip",
        description="What happens to attestations (provenance and SBOM, as docker build adds them), which the "
        "registry refuses with 400: they are left out of what is pushed, or the tag is blocked.",
        examples=["strip"],
    )
    max_layer_size: ByteSize | None = Field(
        default=None,
        description="The largest layer that is sent; see `oversize_layers`. Bytes, or a size "
        "such as 1.9GB or 2GiB (kB to TB are powers of 1000, KiB to TiB of 1024). Left out, there is no limit.",
        examples=["1.9GB", "500MB", 1900000000],
    )
    oversize_layers: Literal["reject", "split"] = Field(
        default="reject",
        description="What happens to layers of more than `max_layer_size`: a plan that would send one is blocked, or "
        "they are split into several layers that unpack to the same files.",
        examples=["split"],
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _refuse(policy_contradictions(self))
        return self


class Transfer(_Part):
    """How layers are sent."""

    parallelism: Parallelism = Field(
        default=DEFAULT_PARALLELISM,
        description="The most requests under way at once for each host; --parallelism goes before it.",
        examples=[DEFAULT_PARALLELISM],
    )
    min_chunk_size: ByteSize | None = Field(
        default=None,
        description="The least that one request of a layer's upload holds, in bytes or as a size; the last one may "
        "hold less. Left out, it is 1MB, or max_chunk_size where that is less.",
        examples=["1MB"],
    )
    max_chunk_size: LargestChunk | None = Field(
        default=None,
        description="The most that one request of a layer's upload holds, in bytes or as a size; 64KB at least. Left "
        "out, it is 1GB, or min_chunk_size where that is more.",
        examples=["1GB", "100MB"],
    )

    @property
    def chunk_sizes(self) -> tuple[int, int]:
        """The least and the most bytes of one request; a default gives way to what the file says."""
        match self.min_chunk_size, self.max_chunk_size:
            case None, int() as largest:
                return min(DEFAULT_MIN_CHUNK, largest), largest
            case int() as smallest, None:
                return smallest, max(DEFAULT_MAX_CHUNK, smallest)
            case smallest, largest:
                return smallest or DEFAULT_MIN_CHUNK, largest or DEFAULT_MAX_CHUNK

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _refuse(transfer_contradictions(self))
        return self


class Manifest(_Part):
    """Which image tags an application should have in the Replicated registry, and which are retired."""

    version: Annotated[int, AfterValidator(_this_version)] = Field(
        description="The version of this file's format.", examples=[VERSION], json_schema_extra={"const": VERSION}
    )
    app: AppSlug | None = Field(
        default=None,
        description="The application's slug: images are pushed to REGISTRY/APP/NAME. Left out, it is taken from "
        "$REPLICATED_APP, or from the vendor CLI's .replicated file.",
        examples=["myapp"],
    )
    registry: RegistryHost = Field(
        default=DEFAULT_REGISTRY,
        description="The registry, HOST or HOST:PORT without a scheme; a custom domain in front of it works too.",
        examples=[DEFAULT_REGISTRY, "images.example.com"],
    )
    registry_aliases: tuple[RegistryHost, ...] = Field(
        default=(),
        description="Other names of the registry, such as a custom domain: what `releases` names there counts too.",
        examples=[["images.example.com"]],
    )
    releases: tuple[Glob, ...] = Field(
        default=(),
        description="The files of the application's release, as patterns from this file's folder, with *, ?, […] and "
        "**. A tag that one of them names is not retired.",
        examples=[["kots/**/*.yaml"]],
    )
    policy: Policy = Field(
        default=Policy(),
        description="What to do where this file says nothing.",
        examples=[{"unlisted": "report"}],
    )
    transfer: Transfer = Field(
        default=Transfer(),
        description="How layers are sent: requests at once, and the size of each. Of several manifests in one run the "
        "most careful counts for all.",
        examples=[{"parallelism": 8, "max_chunk_size": "100MB"}],
    )
    images: Annotated[tuple[Image, ...], AfterValidator(_some)] = Field(
        description="The application's images. Images that are not listed here are never touched.",
        examples=[[{"name": "worker", "source": "ghcr.io/acme/worker", "tags": ["1.10"]}]],
        json_schema_extra={"minItems": 1},
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _refuse(repeated_images(self))
        return self

    def transforms_of(self, image: Image, source: SourceName | None = None) -> Transforms:
        """What is changed on the images that `image` takes from `source`.

        Where layers are known only once they are exported, or built, those over the limit are refused then.
        """
        policy = self.policy
        splits = policy.oversize_layers == "split"
        is_exported = isinstance(source, DaemonSource | SavedSource | BuildSource)
        return Transforms(
            policy.attestations,
            image.platforms,
            split_over=policy.max_layer_size if splits else None,
            refuse_over=policy.max_layer_size if is_exported and not splits else None,
        )
