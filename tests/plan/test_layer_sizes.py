"""The guard against layers that are too large, with sizes that are made up."""

from dataclasses import replace

import pytest

from replsync.oci.image_manifest import DOCKER_CONFIG, DOCKER_LAYER, OCI_CONFIG, Descriptor
from replsync.oci.platform import Platform
from replsync.oci.tag_state import Absent, TagState
from replsync.plan.action import Action, ByteCount, Kind
from replsync.plan.document import plan_json
from replsync.plan.document_reading import read_plan
from replsync.plan.layer_sizes import Load, limited, unmeasured
from tests.plan.saved_plans import saved
from tests.plan.situations import (
    action,
    digest,
    listing,
    present,
    resolved,
    resolved_in_daemon,
    retiring,
    tombstone,
)

GB = 10**9
MB = 10**6
SEEN = "Replicated's registry was seen to cut off requests near 2 GB with 524"


def layer(name: str, size: int, platform: Platform | None = None, media_type: str = DOCKER_LAYER) -> Descriptor:
    return Descriptor(media_type, digest(name), size, platform)


def short(name: str) -> str:
    return digest(name).removeprefix("sha256:")[:12]


def creating() -> Action:
    made = action(listing(), Absent(), resolved("E"))
    return replace(made, bytes=ByteCount(5 * GB, 5 * GB))


def one(load: Load, limit: int | None, *, by_daemon: bool = False) -> Action:
    (only,) = limited([load], limit, by_daemon=by_daemon)
    return only


@pytest.mark.parametrize(
    ("there", "kind"),
    [(Absent(), Kind.CREATE), (present("D"), Kind.UPDATE), (tombstone("D"), Kind.RESTORE)],
    ids=["create", "update", "restore"],
)
def test_an_action_that_sends_too_large_a_layer_is_blocked(there: TagState, kind: Kind) -> None:
    made = replace(action(listing(mutable=True), there, resolved("E")), bytes=ByteCount(5 * MB, 5 * MB))
    assert made.kind is kind
    blocked = one(Load(made, (layer("a", 3 * MB), layer("b", 2 * MB))), 2 * MB)
    assert (blocked.kind, blocked.after, blocked.write) == (Kind.BLOCKED, None, None)
    assert blocked.before == made.before
    assert blocked.bytes == ByteCount()
    assert blocked.reason == (
        f"layer {short('a')} (3.0 MB) is larger than policy.max_layer_size, 2.0 MB; "
        "set policy.oversize_layers: split, make the layer smaller, or raise policy.max_layer_size"
    )


def test_every_such_layer_is_named_with_its_platform() -> None:
    amd, arm = Platform("linux", "amd64"), Platform("linux", "arm", "v7")
    blobs = (layer("a", 3 * MB, amd), layer("s", 1, amd), layer("b", 4 * MB, arm), layer("c", 5 * GB))
    assert one(Load(creating(), blobs), 2 * MB).reason == (
        f"layers {short('a')} (3.0 MB, linux/amd64), {short('b')} (4.0 MB, linux/arm/v7) and {short('c')} (5.0 GB) "
        "are larger than policy.max_layer_size, 2.0 MB; set policy.oversize_layers: split, "
        "make them smaller, or raise policy.max_layer_size"
    )


@pytest.mark.parametrize("name", ["\x1b[2J", "\ud800", "x" * 61, "a b", ""])
def test_a_platform_that_is_none_is_left_out(name: str) -> None:
    blocked = one(Load(creating(), (layer("a", 3 * MB, Platform(name, "")),)), 2 * MB)
    assert f"{short('a')} (3.0 MB) is" in blocked.reason


def test_the_limit_itself_is_allowed_and_a_byte_more_is_told_to_the_byte() -> None:
    assert one(Load(creating(), (layer("a", 1_900_000_000),)), 1_900_000_000) == creating()
    assert "(1900000001 B) is larger than policy.max_layer_size, 1900000000 B; " in (
        one(Load(creating(), (layer("a", 1_900_000_001),)), 1_900_000_000).reason
    )


def test_a_layer_that_an_earlier_action_sends_blocks_both() -> None:
    """With the first left out by --target, the second would send it."""
    large = layer("a", 3 * MB)
    later = replace(creating(), reference=creating().reference.repository.tagged("1.1"))
    made = limited([Load(creating(), sent=(large,)), Load(later, awaited=(large,))], 2 * MB)
    assert [(guarded.tag, guarded.kind) for guarded in made] == [("1.0", Kind.BLOCKED), ("1.1", Kind.BLOCKED)]


def test_only_the_action_that_sends_it_has_a_note() -> None:
    large = layer("a", 2 * GB)
    made = limited([Load(creating(), sent=(large,)), Load(creating(), awaited=(large,))], None)
    assert [len(guarded.notes) for guarded in made] == [1, 0]


@pytest.mark.parametrize("media_type", [OCI_CONFIG, DOCKER_CONFIG])
def test_a_config_is_no_layer(media_type: str) -> None:
    config = layer("config", 2 * GB, media_type=media_type)
    assert one(Load(creating(), (config,)), 1) == creating()
    assert one(Load(creating(), (config,)), None) == creating()


@pytest.mark.parametrize(
    "load",
    [
        Load(action(retiring(), present("D"))),
        Load(action(listing(), tombstone("E"), resolved("E"))),
        Load(action(listing(), present("E"), resolved("E"))),
        Load(action(listing(), present("D"), resolved("E"))),
    ],
    ids=["tombstone", "put back", "unchanged", "blocked"],
)
def test_what_sends_no_layer_stays_as_it_is(load: Load) -> None:
    assert one(load, 1) == load.action
    assert one(load, None) == load.action


def test_without_a_limit_a_layer_of_1_9_gb_is_named_and_blocks_nothing() -> None:
    noted = one(Load(creating(), (layer("a", 1_900_000_000), layer("b", 1_899_999_999))), None)
    assert noted == replace(
        creating(), notes=(f"layer {short('a')} (1.9 GB): {SEEN}; replsync sends large layers in chunks",)
    )
    assert one(Load(creating(), (layer("b", 1_899_999_999),)), None) == creating()


def test_without_a_limit_all_such_layers_are_named_behind_the_notes_that_are_there() -> None:
    made = replace(creating(), notes=("first",))
    noted = one(Load(made, (layer("a", 2 * GB), layer("b", 3 * GB, Platform("linux", "arm64")))), None)
    assert noted.notes[0] == "first"
    assert noted.notes[1].startswith(f"layers {short('a')} (2.0 GB) and {short('b')} (3.0 GB, linux/arm64): {SEEN}")


def test_with_a_limit_there_is_no_note_on_what_it_allows() -> None:
    assert one(Load(creating(), (layer("a", 3 * GB),)), 4 * GB) == creating()


def test_a_daemon_sends_a_layer_in_one_request_and_the_note_says_so() -> None:
    (note,) = one(Load(creating(), (layer("a", 2 * GB),)), None, by_daemon=True).notes
    assert note == (
        f"layer {short('a')} (2.0 GB): {SEEN}, and docker sends a layer in one; --engine registry sends it in chunks"
    )


def test_layers_of_a_daemons_image_cannot_be_measured_and_a_note_says_so() -> None:
    made = action(listing(), Absent(), resolved_in_daemon("E"))
    assert one(Load(made, unpacked=2 * MB), 2 * MB) == made
    noted = one(Load(made, unpacked=3 * MB), 2 * MB)
    assert noted == replace(
        made,
        notes=(
            "the image has 3.0 MB unpacked, and its layers are known only once it is exported; "
            "it fails before anything of it is sent if one is larger than policy.max_layer_size, 2.0 MB",
        ),
    )
    assert "policy.max_layer_size, 2000000 B" in one(Load(made, unpacked=2 * MB + 1), 2 * MB).notes[0]


def test_without_a_limit_only_a_very_large_image_of_a_daemon_has_a_note() -> None:
    made = action(listing(), Absent(), resolved_in_daemon("E"))
    assert one(Load(made, unpacked=1_899_999_999), None) == made
    assert one(Load(made, unpacked=3 * GB), None).notes == (
        "the image has 3.0 GB unpacked, and its layers are known only once it is exported; "
        f"{SEEN}; replsync sends large layers in chunks",
    )


def test_where_no_source_was_asked_a_warning_says_that_nothing_was_checked() -> None:
    unknown, known = Load(replace(creating(), bytes=None)), Load(creating())
    assert unmeasured([unknown, known], 2 * MB) == (
        "policy.max_layer_size is not checked for 1 tag: how large layers are, only their sources can say; "
        "plan without --locked",
    )
    assert "for 2 tags: " in unmeasured([unknown, unknown], 2 * MB)[0]
    assert unmeasured([unknown], None) == unmeasured([known], 2 * MB) == ()


def test_a_plan_with_blocked_actions_and_notes_is_read_back() -> None:
    large = layer("a", 3 * GB)
    later = replace(creating(), reference=creating().reference.repository.tagged("1.1"))
    for limit in (None, 2 * GB):
        plan = saved(limited([Load(creating(), (large,)), Load(later, awaited=(large,))], limit), targets=())
        assert read_plan(plan_json(plan).encode(), "plan.json") == plan
