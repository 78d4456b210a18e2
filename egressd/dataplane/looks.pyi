class LookKind:
    HOST: int
    NEW: int
    PAYLOAD: int
    ANSWERED: int
    CONNECTED: int
    DELIVERED: int
    TURNED: int
    PROGRESS: int
    RESET: int
    REFUSED: int
    ENDED: int

REASONS_ENDED: tuple[str, ...]

class Look:
    kind: int
    side: int
    row: int
    flow: int
    time: int
    number: int
    source: int
    detail: int
    protocol: int
    port_a: int
    port_b: int
    host_a: int
    host_b: int
    own_bytes_a: int
    own_bytes_b: int
    own_frames_a: int
    own_frames_b: int
    payload_bytes_a: int
    payload_bytes_b: int
    stream: int
    cut: bool
    payload: bytes
