"""Docker's own words: one line, its end, and no secret that stands in an address."""

import pytest

from replsync.sources.docker_daemon import shown


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("pull  access\n denied", "pull access denied"),
        ('Get "https://store.test/v2/a?X-Amz-Signature=secret&b": EOF', 'Get "https://store.test/v2/a?...": EOF'),
        ("HTTPS://store.test?sig=secret", "HTTPS://store.test?..."),
        ("proxyconnect http://ann:secret@proxy.test:3128/ refused", "proxyconnect http://...@proxy.test:3128/ refused"),
        ("https://secret@store.test/x?sig=secret", "https://...@store.test/x?..."),
        ("ghcr.io/acme/worker@sha256:abc: not found", "ghcr.io/acme/worker@sha256:abc: not found"),
        ("see https://docs.test/@docker", "see https://docs.test/@docker"),
    ],
)
def test_what_docker_says_is_shown_without_secrets(said: str, expected: str) -> None:
    assert shown(said) == expected


def test_of_much_the_end_is_shown() -> None:
    assert shown("x" * 1000 + "end") == "x" * 397 + "end"
