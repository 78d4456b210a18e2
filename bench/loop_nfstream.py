"""The small program of nfstream's own README: iterate over the flows of a capture.

Run by the interpreter that has nfstream, as a file; it prints how many packets
the flows hold. The number of meter processes is nfstream's own choice.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from nfstream import NFStreamer  # type: ignore[import-not-found]  # not in our venv

    packets = sum(flow.bidirectional_packets for flow in NFStreamer(source=sys.argv[1]))
    sys.stdout.write(f"{packets} frames\n")
