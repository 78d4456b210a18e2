"""The tables of the state file, and how each version became the next.

A new file goes through all steps, an older one through those it lacks, each in the same
transaction: there is one way to the present, and it is tested. A step that was released is never
changed; what has to change is a new step.
"""

from __future__ import annotations

APPLICATION_ID = 0x65677364  # "egsd"; PRAGMA application_id, so that file(1) and we know it

# To version 1.
_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE devices (
        id TEXT PRIMARY KEY, seen INTEGER NOT NULL, mac TEXT, ips TEXT NOT NULL,
        hosts TEXT NOT NULL, pieces TEXT NOT NULL, domains TEXT NOT NULL, clouds TEXT NOT NULL,
        pulled TEXT NOT NULL, serves INTEGER NOT NULL, judged INTEGER NOT NULL,
        told TEXT NOT NULL, recognised INTEGER NOT NULL
    )""",
    """CREATE TABLE names (
        client TEXT NOT NULL, address TEXT NOT NULL, name TEXT NOT NULL, seen INTEGER NOT NULL,
        until INTEGER NOT NULL, PRIMARY KEY (client, address, name)
    )""",
    """CREATE TABLE episodes (
        id INTEGER PRIMARY KEY, host_ip TEXT NOT NULL, host_mac TEXT, ip TEXT, port INTEGER,
        transport TEXT NOT NULL, direction TEXT NOT NULL, stage INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, local_port INTEGER,
        pending INTEGER NOT NULL, flows INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL, bytes_in INTEGER NOT NULL, packets_out INTEGER NOT NULL,
        packets_in INTEGER NOT NULL, connected INTEGER NOT NULL, reset INTEGER NOT NULL,
        refused INTEGER NOT NULL, on_site INTEGER NOT NULL, permitted INTEGER NOT NULL,
        weighed INTEGER NOT NULL, told INTEGER, finding TEXT, names TEXT NOT NULL,
        protocols TEXT NOT NULL, evidence TEXT NOT NULL, onsets TEXT NOT NULL,
        counted_out INTEGER NOT NULL, counted_in INTEGER NOT NULL,
        counted_packets_out INTEGER NOT NULL, counted_packets_in INTEGER NOT NULL,
        counted_stage INTEGER NOT NULL
    )""",
    """CREATE TABLE flows (
        id TEXT PRIMARY KEY, episode INTEGER NOT NULL, last INTEGER NOT NULL,
        direction TEXT NOT NULL
    )""",
    """CREATE TABLE totals (
        camera TEXT NOT NULL, party TEXT NOT NULL, bytes_out INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL, packets_out INTEGER NOT NULL, packets_in INTEGER NOT NULL,
        PRIMARY KEY (camera, party)
    )""",
    """CREATE TABLE counts (
        name TEXT NOT NULL, labels TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (name, labels)
    )""",
    """CREATE TABLE permits (
        text TEXT PRIMARY KEY, used INTEGER NOT NULL, expired INTEGER NOT NULL
    )""",
    "CREATE TABLE leases (ip TEXT PRIMARY KEY, mac TEXT NOT NULL)",
    "CREATE TABLE interfaces (interface TEXT PRIMARY KEY, frames INTEGER NOT NULL)",
    """CREATE TABLE files (
        folder TEXT NOT NULL, name TEXT NOT NULL, device INTEGER NOT NULL,
        inode INTEGER NOT NULL, first INTEGER NOT NULL, frames INTEGER NOT NULL,
        size INTEGER NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (folder, device, inode, first)
    )""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
