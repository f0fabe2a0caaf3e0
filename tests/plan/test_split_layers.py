"""What a plan says of layers that are split, and how a split image is known again."""

from dataclasses import replace

from replsync.oci.made_from import split_of
from replsync.oci.recipe import Transforms
from replsync.oci.tag_state import Absent, Present
from replsync.plan.action import Kind, State
from replsync.plan.comparing import is_in
from replsync.plan.layer_sizes import Load, limited
from tests.plan.situations import action, digest, listing, present, resolved, resolved_in_daemon
from tests.plan.test_layer_sizes import MB, layer, short

SPLIT = Transforms(split_over=2 * MB)
WANTED = replace(
    resolved("E"), digest=None, whole=digest("E"), transforms=SPLIT, made_from=split_of(digest("E"), 2 * MB)
)


def test_layers_that_are_split_block_nothing_and_the_plan_says_what_it_takes() -> None:
    made = action(listing(), Absent(), WANTED)
    large = layer("a", 3 * MB)
    (noted,) = limited([Load(made, (large, layer("b", 2 * MB)), split=(large,))], 2 * MB)
    assert noted.kind is Kind.CREATE
    assert noted.notes == (
        f"layer {short('a')} (3.0 MB) is split into layers of at most 2.0 MB, "
        "which takes up to 77.3 MB of temporary disk",
    )


def test_of_an_image_that_is_exported_first_it_is_said_what_it_may_take() -> None:
    wanted = replace(resolved_in_daemon("E"), transforms=SPLIT, made_from=split_of(digest("E"), 2 * MB))
    made = action(listing(), Absent(), wanted)
    (noted,) = limited([Load(made, unpacked=3 * MB)], 2 * MB)
    assert "large ones are split into layers of at most 2.0 MB" in noted.notes[0]
    assert limited([Load(made, unpacked=2 * MB)], 2 * MB) == (made,)


def test_a_split_image_is_known_by_what_it_was_made_from() -> None:
    def kind(there: Present) -> Kind:
        return action(listing(), there, WANTED).kind

    split = present("split of E")
    assert kind(replace(split, made_from=WANTED.made_from)) is Kind.UNCHANGED
    assert kind(replace(split, made_from=split_of(digest("E"), 3 * MB))) is Kind.BLOCKED
    assert kind(replace(split, made_from=split_of(digest("D"), 2 * MB))) is Kind.BLOCKED
    assert kind(split) is Kind.BLOCKED
    assert kind(present("E")) is Kind.UNCHANGED  # the registry took it whole


def test_where_nobody_was_asked_either_of_both_is_what_is_wanted() -> None:
    either = State("image", digest("E"), None, WANTED.made_from)
    assert is_in(either, present("E"))
    assert is_in(either, replace(present("split of E"), made_from=WANTED.made_from))
    assert not is_in(either, present("D"))
