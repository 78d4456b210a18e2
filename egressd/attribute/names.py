"""Passive DNS, a client at a time: what this host asked for before it spoke to that address.

A name counts for the client that got the answer, from the moment of the answer
until its time to live has run out and an hour more: a camera keeps addresses
longer than it should. No name is ever shared between clients, and all names
that led to an address are kept, because which one was meant cannot be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND, Name, NameSource, Nanoseconds
from egressd.state import NameRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.decode.dns import DnsMessage

GRACE = 3600 * NANOSECONDS_PER_SECOND
MAXIMUM_PAIRS = 200_000  # (client, address) pairs remembered; the oldest makes room
MAXIMUM_NAMES = 16  # of one address for one client
ADDRESS_TYPES = frozenset({"A", "AAAA"})


@dataclass(slots=True)
class _Answer:
    name: str
    seen: Nanoseconds
    until: Nanoseconds


class NameTable:
    """Names by client and address. A client is whatever hashable the caller identifies it by."""

    def __init__(self, maximum_pairs: int = MAXIMUM_PAIRS) -> None:
        self._answers: dict[tuple[str, str], list[_Answer]] = {}
        self._maximum = maximum_pairs
        self._changed: set[tuple[str, str]] | None = None  # pairs; None: nobody asked for rows yet
        self.evicted = 0

    @property
    def maximum(self) -> int:
        """How many pairs of client and address there is room for."""
        return self._maximum

    def __len__(self) -> int:
        return len(self._answers)

    def learn(self, client: str, message: DnsMessage, at: Nanoseconds) -> None:
        """Take the addresses of a DNS answer that a client received."""
        if not message.questions:
            return
        name = message.questions[0].name
        for record in message.answers:
            until = at + record.ttl * NANOSECONDS_PER_SECOND + GRACE
            if record.type in ADDRESS_TYPES:
                self._keep(client, record.data, _Answer(name, at, until))
            for hint in record.hints:
                self._keep(client, hint, _Answer(name, at, until))

    def names_of(self, client: str, address: str, at: Nanoseconds) -> list[Name]:
        """Return the names that led this client to an address, the newest first."""
        answers = self._answers.get((client, address))
        if not answers:
            return []
        return [
            Name(answer.name, NameSource.DNS, answer.seen)
            for answer in reversed(answers)
            if answer.seen <= at <= answer.until
        ]

    def rows(self, *, changed_only: bool = False) -> list[NameRow]:
        """Return all names, or those of pairs that changed since this was last asked."""
        pairs: Iterable[tuple[str, str]] = self._answers
        if changed_only and self._changed is not None:
            pairs = self._changed
        rows = [
            NameRow(*pair, answer.name, answer.seen, answer.until)
            for pair in pairs
            for answer in self._answers.get(pair, ())
        ]
        self._changed = set()
        return rows

    def restore(self, rows: Iterable[NameRow]) -> None:
        """Take names that the run before this one knew, the oldest first."""
        for row in rows:
            self._keep(row.client, row.address, _Answer(row.name, row.seen, row.until))

    def _keep(self, client: str, address: str, answer: _Answer) -> None:
        key = (client, address)
        if self._changed is not None:
            self._changed.add(key)
            if len(self._changed) > self._maximum:
                self._changed = None  # nobody has asked for long, and will be told all there is
        answers = self._answers.get(key)
        if answers is None:
            self._answers[key] = [answer]
            if len(self._answers) > self._maximum:
                del self._answers[next(iter(self._answers))]
                self.evicted += 1
            return
        answers[:] = [known for known in answers if known.name != answer.name][1 - MAXIMUM_NAMES :]
        answers.append(answer)
