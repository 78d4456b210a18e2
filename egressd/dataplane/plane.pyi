from typing import Any

from egressd.capture.batch import Batch
from egressd.dataplane.looks import Look

class Plane:
    def __init__(
        self,
        prefixes: list[tuple[int, int, int]],
        seed: int,
        maximum_flows: int = ...,
        *,
        all_flows: bool = ...,
    ) -> None: ...
    def add_source(self, index: int, linktype: int) -> None: ...
    def feed(self, batch: Batch, start: int) -> int: ...
    def drain(self, buffer: Any) -> list[Look]: ...
    def advance(self, now: int, start: int) -> int: ...
    def live_rows(self) -> list[int]: ...
    def end_rows(self, rows: list[int], start: int) -> int: ...
    def id_of(self, row: int) -> int: ...
    def row_of(
        self, row: int
    ) -> tuple[
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
    ]: ...
    def side_of(
        self, row: int, side: int
    ) -> tuple[int, int, int, int, int, int, int, int, int, int, int]: ...
    def host_of(self, index: int) -> tuple[int, int, int, int, int]: ...
    def last_of_host(self, index: int) -> int: ...
    def shed_of(self, index: int) -> tuple[int, int, int, int, int]: ...
    def counters(self) -> dict[str, Any]: ...
    @property
    def last_frame(self) -> int: ...
    @property
    def live_flows(self) -> int: ...
