"""Writing what a registry has into manifests in any style."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from replsync.manifest.adopting import Adopted, new_manifest, with_adopted
from replsync.manifest.edit import NewTag
from replsync.manifest.read import read_manifest
from replsync.oci.digest import sha256
from tests.manifest import strategies as values
from tests.manifest.test_edit_properties import (
    BRACKETS,
    KEY,
    Written,
    assert_in_order,
    assert_same_frame,
    comments,
    model,
    written_manifests,
)

DIGEST = sha256(b"")
NEW = st.lists(values.TAGS.map("n_".__add__), max_size=3, unique=True)


@st.composite
def adopted(draw: st.DrawFn, name: str, mutable: tuple[str, ...] = ()) -> Adopted:
    tags, retired = draw(NEW), draw(values.REASONS)
    cut = draw(st.integers(0, len(tags)))
    return Adopted(
        name,
        tuple(NewTag(tag, source=f"ghcr.io/a/b@{DIGEST}") for tag in [*tags[:cut], "n"]),
        tuple((tag, retired) for tag in tags[cut:]),
        mutable,
    )


@st.composite
def additions(draw: st.DrawFn) -> tuple[Written, list[Adopted]]:
    file = draw(written_manifests())
    names = draw(st.sets(st.sampled_from([image["name"] for image in file.images])))
    new = draw(st.lists(values.NAMES.map("new/".__add__), max_size=2, unique=True))
    found = [draw(adopted(name)) for name in sorted(names)]
    return file, found + [draw(adopted(name, ("n*",))) for name in new]


@given(additions())
@settings(max_examples=80)
def test_what_is_adopted_comes_behind_what_is_there_and_nothing_else_is_touched(
    given: tuple[Written, list[Adopted]],
) -> None:
    file, images = given
    new = with_adopted(file.data, "f", images)
    before, after = model(file.data)["images"], {image["name"]: image for image in model(new)["images"]}
    for image in images:
        old = next((one for one in before if one["name"] == image.name), {"tags": (), "retired": ()})
        assert tags(after[image.name], "tags") == [*tags(old, "tags"), *(tag.tag for tag in image.tags)]
        assert tags(after[image.name], "retired") == [*tags(old, "retired"), *(tag for tag, _ in image.retired)]
    changed = {image.name for image in images}
    touched = {(name, key) for name in changed for key in (KEY, BRACKETS)}
    kept = [line for line, owner in file.lines if not owner or (owner[0], owner[-1]) not in touched]
    assert_in_order(kept, new)
    assert comments(new) == comments(file.data)
    assert_same_frame(file.data, new)


def tags(image: dict[str, Any], key: str) -> list[str]:
    return [entry["tag"] for entry in image[key]]


@given(
    st.lists(values.NAMES, min_size=1, max_size=3, unique=True).flatmap(lambda names: st.tuples(*map(adopted, names)))
)
@settings(max_examples=40)
def test_a_new_manifest_says_what_was_adopted(images: tuple[Adopted, ...]) -> None:
    manifest = read_manifest(new_manifest("localhost:5000", "true", images).encode(), "f").manifest
    assert (manifest.registry, manifest.app) == ("localhost:5000", "true")
    assert [image.name for image in manifest.images] == [image.name for image in images]
    for found, image in zip(manifest.images, images, strict=True):
        assert [tag.tag for tag in found.tags] == [tag.tag for tag in image.tags]
        assert [(entry.tag, entry.reason) for entry in found.retired] == list(image.retired)
