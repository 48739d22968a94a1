"""Types of a Tapeline hub's channels and frames, for type checkers and editors.

Fields that are not declared are always allowed.
"""

from typing import Any, Generic, Literal, NotRequired, Required, TypedDict, TypeVar, Union

R = TypeVar("R")


class Rollup(TypedDict):
    """A place in a roll-up that counts for itself."""

    offset: int
    epoch: str


class Envelope(TypedDict):
    """What every message has around its type and data."""

    channel: str
    """Where it was published, also under a roll-up or a pattern."""

    timestamp: str
    """Receipt by the hub, RFC 3339."""

    id: str
    """A UUID of version 7."""

    correlation_id: NotRequired[str]
    """As the publisher gave it."""

    offset: int
    """Its place in its channel: 1, 2, 3 …"""

    epoch: str
    """What the offset counts under."""

    rollup: NotRequired[dict[str, Rollup]]
    """Its places in the roll-ups that count for themselves."""


class Table(TypedDict, Generic[R]):
    """Rows as subscribers get them: changes, or with `snapshot` the whole table."""

    rows: list[R]
    meta: dict[str, Any]
    snapshot: bool


class Rows(TypedDict, Generic[R]):
    """Rows as publishers send them."""

    rows: list[R]
    meta: NotRequired[dict[str, Any]]
    snapshot: NotRequired[bool]


class RowRemoved(TypedDict):
    """Takes a row away: its key beside this."""

    removed: Literal[True]
