"""The small program most people write with dpkt: count packets and bytes by five-tuple.

Run as `python -m bench.loop_dpkt FILE`; it prints how many frames it read.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import dpkt


def count_frames(path: Path) -> int:
    """Return how many frames a capture holds, having put each into its flow."""
    flows: defaultdict[tuple[bytes, bytes, int, int, int], list[int]]
    flows = defaultdict(lambda: [0, 0])
    frames = 0
    with path.open("rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            frames += 1
            packet = dpkt.ethernet.Ethernet(data).data
            if not isinstance(packet, dpkt.ip.IP):
                continue
            segment = packet.data
            if not isinstance(segment, (dpkt.tcp.TCP, dpkt.udp.UDP)):
                continue
            flow = flows[packet.src, packet.dst, packet.p, segment.sport, segment.dport]
            flow[0] += 1
            flow[1] += len(data)
    return frames


if __name__ == "__main__":
    sys.stdout.write(f"{count_frames(Path(sys.argv[1]))} frames\n")
