"""What an image was made from, as texts that are compared, and as labels of foreign configs say it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.oci.digest import sha256
from replsync.oci.made_from import (
    BUILD_INPUTS,
    SPLIT_LIMIT,
    SPLIT_SEAL,
    SPLIT_SOURCE,
    build_of,
    read_made_from,
    serves,
    split_of,
)
from replsync.oci.recipe import platform_of

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


_values = st.none() | st.booleans() | st.integers() | st.text() | st.just(ONE) | st.lists(st.integers(), max_size=2)
_labels = st.dictionaries(st.sampled_from([BUILD_INPUTS, SPLIT_SOURCE, SPLIT_LIMIT, SPLIT_SEAL, "other"]), _values)
_configs = st.fixed_dictionaries(
    {},
    optional={
        "config": _values | st.fixed_dictionaries({"Labels": _values | _labels}),
        "os": _values,
        "architecture": _values,
        "variant": _values,
    },
)


@given(_configs | _values)
def test_any_config_is_read(config: Any) -> None:
    data = json.dumps(config).encode(errors="surrogatepass")
    found = read_made_from(data)
    assert found is None or found == build_of(ONE)  # no seal is right by chance
    platform = platform_of(data)
    assert platform is None or str(platform).isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    assert read_made_from(data) is None
    assert platform_of(data) is None
