"""What an image was made from, as texts that are compared."""

import pytest

from replsync.oci.digest import sha256
from replsync.oci.made_from import build_of, serves, split_of

ONE, OTHER = sha256(b"1"), sha256(b"2")


@pytest.mark.parametrize(
    ("wanted", "present", "is_served"),
    [
        (split_of(ONE, 5), split_of(ONE, 5), True),
        (split_of(ONE, 5), split_of(ONE, 4), True),
        (split_of(ONE, 5), split_of(ONE, 6), False),
        (split_of(ONE, 5), split_of(OTHER, 5), False),
        (split_of(ONE, 5), None, False),
        (split_of(ONE, 5), build_of(ONE), False),
        (build_of(ONE), build_of(ONE), True),
        (build_of(ONE), build_of(OTHER), False),
        (build_of(ONE), split_of(ONE, 1), False),
    ],
)
def test_layers_that_are_smaller_than_they_need_be_serve(wanted: str, present: str | None, is_served: bool) -> None:
    assert serves(wanted, present) is is_served
