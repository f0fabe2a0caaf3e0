"""The part of a manifest that says how an image is built."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from replsync.manifest.grammar import Platforms, refused, text_of
from replsync.oci.build_source import DOCKERFILE, MAX_WRITTEN, BuildSource
from replsync.oci.platform import Platform

_MAX_PATH = 255
_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_PATH_SCHEMA = {"type": "string", "maxLength": _MAX_PATH, "pattern": rf"^(?!/)(?!\w+://)[^{_CONTROL}\\]+$"}
_FILE_SCHEMA = {"type": "string", "maxLength": _MAX_PATH, "pattern": rf"^[^{_CONTROL}]+$"}
_STAGE = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_ARGUMENT = r"[A-Za-z_][A-Za-z0-9_]*"
_SECRET = r"[A-Za-z0-9_.-]+"  # noqa: S105 - the grammar of an id


def _context(text: str) -> str:
    path = _path(text, "a folder")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|git@", path):
        raise refused("a build's context is a folder on this machine", "clone the repository beside the manifest")
    if path.startswith("/"):
        raise refused("a build's context starts from the manifest's folder", "write it as a relative path")
    return path


def _dockerfile(text: str) -> str:
    path = _path(text, "a file")
    if path.startswith("/") or ".." in path.split("/"):
        raise refused("a Dockerfile lies in the build's context, from which its path starts", "move it there")
    return path


def _path(text: str, what: str) -> str:
    if not 1 <= len(text) <= _MAX_PATH or not text.isprintable() or "\\" in text:
        raise refused(f"the path of {what} is 1 to {_MAX_PATH} printable characters, its folders joined by `/`")
    return text


def _stage(text: str) -> str:
    if len(text) <= _MAX_PATH and re.fullmatch(_STAGE, text):
        return text
    raise refused("a stage is named by letters, digits, `_`, `.` or `-`, or by its number")


def _arguments(value: object) -> dict[str, str]:
    return {key: text_of(one) for key, one in _pairs(value, _ARGUMENT, "the name of a build argument").items()}


def _secrets(value: object) -> dict[str, str]:
    files = _pairs(value, _SECRET, "the id of a secret").items()
    return {key: _path(text_of(one), "the file that holds a secret") for key, one in files}


def _pairs(value: object, grammar: str, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise refused(f"each of them is a line of its own below it: {what}, and its value")
    for key in value:
        if not re.fullmatch(grammar, key):
            raise refused(f"{key[:40]!r} is not {what}")
    return value


def _map_schema(grammar: str, value: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "propertyNames": {"pattern": f"^{grammar}$"}, "additionalProperties": value}


class Build(BaseModel):
    """How an image is built, by `docker buildx build`, or by `docker build` where there is no buildx."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    context: Annotated[str, AfterValidator(_context), WithJsonSchema(_PATH_SCHEMA)] = Field(
        description="The folder that is sent to the builder, as a path from this file's folder. Its .dockerignore "
        "counts. The image is built anew when what is sent has changed, or anything else below `build`.",
        examples=["./worker"],
    )
    dockerfile: Annotated[str, AfterValidator(_dockerfile), WithJsonSchema(_PATH_SCHEMA)] = Field(
        default=DOCKERFILE,
        description="The Dockerfile, as a path in the context. A NAME.dockerignore beside it goes before "
        ".dockerignore.",
        examples=["docker/worker.Dockerfile"],
    )
    target: Annotated[str, AfterValidator(_stage), WithJsonSchema({"type": ["string", "number"]})] | None = Field(
        default=None, description="The stage of the Dockerfile that is built. Left out, the last.", examples=["prod"]
    )
    args: Annotated[
        dict[str, str],
        PlainValidator(_arguments),
        WithJsonSchema(_map_schema(_ARGUMENT, {"type": ["string", "number", "boolean"]})),
    ] = Field(
        default={},
        description="Values of the Dockerfile's ARGs. They are in the image's history, so that secrets don't belong "
        "here.",
        examples=[{"VERSION": "1.11.0"}],
    )
    secrets: Annotated[dict[str, str], PlainValidator(_secrets), WithJsonSchema(_map_schema(_SECRET, _FILE_SCHEMA))] = (
        Field(
            default={},
            description="Secrets for `RUN --mount=type=secret`: the id of each, and the file that holds it, as a path "
            "from this file's folder. It takes buildx. That a secret has changed is no reason to build again.",
            examples=[{"npmrc": "../.npmrc"}],
        )
    )
    platforms: Platforms = Field(
        default=(),
        description="The platforms to build for. Left out, those of the image's `platforms`, else the builder's own. "
        "Others than that take buildx.",
        examples=[["linux/amd64", "linux/arm64"]],
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )

    @model_validator(mode="after")
    def _is_short(self) -> Self:
        if len(self.source(()).written) > MAX_WRITTEN:
            raise refused(f"all of a build takes more than {MAX_WRITTEN} characters", "shorten its arguments' values")
        return self

    def source(self, platforms: tuple[Platform, ...]) -> BuildSource:
        """Return the source that this builds, for just `platforms` where there are any."""
        return BuildSource(
            self.context,
            self.dockerfile,
            self.target,
            tuple(sorted(self.args.items())),
            tuple(sorted(self.secrets.items())),
            platforms or self.platforms,
        )
