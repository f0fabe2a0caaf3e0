"""The time, as documents have it: RFC 3339 in UTC, to the second unless more is asked for."""

from collections.abc import Mapping
from datetime import UTC, datetime

from replsync.errors import InvalidInput


def now() -> str:
    """Return the time."""
    return _written(datetime.now(UTC))


def now_exactly() -> str:
    """Return the time to the millisecond, for a log."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_of_plan(env: Mapping[str, str]) -> str:
    """Return the time for a plan, or the one that reproducible builds set (reproducible-builds.org, SOURCE_DATE_EPOCH).

    Raises InvalidInput where that is no time.
    """
    epoch = env.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return now()
    try:
        return _written(datetime.fromtimestamp(int(epoch), UTC))
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(
            f"read SOURCE_DATE_EPOCH: {epoch!r:.60} is not a time in seconds since 1970",
            hint="set it right, or unset it",
        ) from error


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
