"""One capture in several files, or with an interface that comes late: the same events.

What a ring buffer of files gives a person must lead to what one file would have led to, but for
where a frame stands: its file, its number there, its interface.
"""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Egressd

    Json = dict[str, Any]

PCAPS = Path(__file__).parent.parent / "pcaps"
WHOLE = PCAPS / "tls-upload.pcapng"
SITE = PCAPS / "sites" / "tls-upload.yaml"
FRAMES = 329
LATE = 300  # beyond the first batch of a reader, which has 256 frames
PLACES = {"capture_file", "pcap_cnt", "in_iface", "evidence"}
INTERFACE_DESCRIPTION, PACKET = 1, 6  # draft-ietf-opsawg-pcapng, 4.2 and 4.3


def told(egressd: Egressd, *captures: Path) -> list[Json]:
    """Return the events of a replay."""
    paths = [str(path) for path in captures]
    done = egressd("replay", *paths, "--site", str(SITE), "--eve", "-", "--log", "all")
    assert done.returncode == 1, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def placeless(value: Any) -> Any:
    """Return events without where their frames stand."""
    if isinstance(value, dict):
        return {key: placeless(part) for key, part in value.items() if key not in PLACES}
    return [placeless(part) for part in value] if isinstance(value, list) else value


def split(folder: Path, frames: int) -> list[Path]:
    """Split the capture as a ring buffer of files does."""
    command = ["editcap", "-c", str(frames), str(WHOLE), str(folder / "part.pcapng")]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(folder.glob("part_*.pcapng"))


@pytest.mark.program("editcap")
@pytest.mark.parametrize("frames", [1, 10, 165])
def test_a_split_capture_leads_to_the_same_events(
    egressd: Egressd, tmp_path: Path, frames: int
) -> None:
    parts = split(tmp_path, frames)
    assert len(parts) == -(-FRAMES // frames)
    events = told(egressd, *parts)
    assert placeless(events) == placeless(told(egressd, WHOLE))
    files = {event["capture_file"] for event in events if "capture_file" in event}
    assert files <= {str(part) for part in parts}
    assert len(files) > 1


@pytest.mark.program("editcap")
def test_two_files_in_the_wrong_order_or_as_a_folder_lead_to_the_same_events(
    egressd: Egressd, tmp_path: Path
) -> None:
    first, second = split(tmp_path, 165)
    expected = placeless(told(egressd, WHOLE))
    assert placeless(told(egressd, second, first)) == expected
    assert placeless(told(egressd, tmp_path)) == expected


def late_interface(content: bytes) -> bytes:
    """Return the capture with a second interface, span1, which the last frames came from."""
    at, frames, blocks = 0, 0, []
    while at < len(content):
        kind, length = struct.unpack_from("<II", content, at)
        block = content[at : at + length]
        at += length
        if kind == INTERFACE_DESCRIPTION:
            description = block.replace(b"span0", b"span1")
            assert description != block
        if kind == PACKET:
            frames += 1
            if frames == LATE:
                blocks.append(description)
            if frames >= LATE:
                block = block[:8] + struct.pack("<I", 1) + block[12:]
        blocks.append(block)
    return b"".join(blocks)


def test_an_interface_that_comes_late_leads_to_the_same_events(
    egressd: Egressd, tmp_path: Path
) -> None:
    path = tmp_path / "late.pcapng"
    path.write_bytes(late_interface(WHOLE.read_bytes()))
    events = told(egressd, path)
    assert placeless(events) == placeless(told(egressd, WHOLE))
    assert {event.get("in_iface") for event in events} >= {"span0", "span1"}
