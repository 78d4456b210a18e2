"""Which decoder of the camera world reads which payload: tables by the first byte.

LAN discovery, makers' own control protocols and video platforms. A payload that none of them
knows costs one look into a table. The order within a row does not matter: each reader knows its
own by more bytes than these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from egressd.decode.baichuan import read_baichuan
from egressd.decode.dhdiscover import read_dhdiscover
from egressd.decode.dhip import read_dhip
from egressd.decode.dvrip import read_dvrip
from egressd.decode.gb28181 import gb28181_of
from egressd.decode.hik_lbs import read_hik_lbs
from egressd.decode.hik_mqtt import hik_mqtt_of
from egressd.decode.hik_sdk import read_hik_sdk
from egressd.decode.hik_vtm import read_hik_vtm
from egressd.decode.http import HttpRequest, HttpResponse
from egressd.decode.isup import read_isup
from egressd.decode.jt808 import read_jt808
from egressd.decode.jt1078 import read_jt1078
from egressd.decode.mqtt import MqttConnect
from egressd.decode.pppp_tcp import read_pppp_tcp
from egressd.decode.sadp import read_sadp
from egressd.decode.sip import METHODS, SipMessage, read_sip
from egressd.decode.ssdp import read_ssdp
from egressd.decode.tuya_tcp import read_tuya_tcp
from egressd.decode.vendor_lan import (
    VIVOTEK_MAGIC,
    read_bosch,
    read_foscam,
    read_hanwha,
    read_ipro,
    read_sony,
    read_vivotek,
    read_vstarcam,
)
from egressd.decode.wsd import read_wsd
from egressd.decode.xiongmai import read_dvrip_search, read_dvrip_xiongmai, read_xiongmai_cloud
from egressd.model import NEED_MORE, NeedMore

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.decode.p2p import P2pMessage


class Labelled(Protocol):
    """A decoded message that knows the label of its flow."""

    @property
    def protocol(self) -> str:
        """The label."""


def read_camera_datagram(payload: bytes) -> Labelled | None:
    """Return the message in a UDP payload, or None if it is of no protocol of cameras.

    Raises DecodeError for a broken message.
    """
    for reader in DATAGRAM_READERS.get(payload[0], ()) if payload else ():
        message = reader(payload)
        if message is not None and message is not NEED_MORE:
            return message
    # The first byte of Vivotek's is a counter.
    return read_vivotek(payload) if payload[1:5] == VIVOTEK_MAGIC else None


def messages_inside(message: object, head: bytes) -> list[P2pMessage]:
    """Return what a message of another protocol is in a camera's cloud: MQTT and HTTP carry some.

    `head` is the stream that the message was read from.
    """
    found = None
    if isinstance(message, MqttConnect):
        found = hik_mqtt_of(message, head)
    elif isinstance(message, HttpRequest | HttpResponse) and b'"MessageType"' in head:
        found = read_xiongmai_cloud(head)
    return [found] if found is not None else []


def read_sip_or_platform(
    head: bytes, *, final: bool = True
) -> SipMessage | P2pMessage | NeedMore | None:
    """Return a SIP message, or what it is on a GB/T 28181 platform."""
    sip = read_sip(head, final=final)
    if not isinstance(sip, SipMessage):
        return sip
    return gb28181_of(sip, head) or sip


if TYPE_CHECKING:
    DatagramReader = Callable[[bytes], Labelled | NeedMore | None]
    StreamReader = tuple[str, Callable[[bytes, bool], object]]

SIP_LETTERS = sorted({method[0] for method in METHODS})
SIP_READERS: tuple[DatagramReader, ...] = (read_sip_or_platform,)

DATAGRAM_READERS: dict[int, tuple[DatagramReader, ...]] = dict.fromkeys(SIP_LETTERS, SIP_READERS)
DATAGRAM_READERS |= {
    0x00: (read_ipro,),
    0x02: (read_sony,),
    0x0B: (read_hanwha,),
    0x20: (read_dhdiscover,),
    0x30: (read_jt1078,),
    ord("<"): (read_sadp, read_wsd, read_isup, read_bosch),
    ord("D"): (read_vstarcam,),
    ord("H"): (read_ssdp,),
    ord("M"): (read_ssdp, read_foscam, read_sip_or_platform),
    ord("N"): (read_ssdp, read_sip_or_platform),
    0x7E: (read_jt808,),
    0x99: (read_bosch,),
    0xA3: (read_dhdiscover,),
    0xB3: (read_dhdiscover,),
    0xEF: (read_wsd,),  # a byte order mark
    0xFF: (read_dvrip_search,),
}

DVRIP_READERS: tuple[StreamReader, ...] = (("dvrip", lambda head, _: read_dvrip(head)),)
BAICHUAN_READERS: tuple[StreamReader, ...] = (
    ("reolink-baichuan", lambda head, _: read_baichuan(head)),
)
PPPP_READERS: tuple[StreamReader, ...] = (
    ("pppp", lambda head, final: read_pppp_tcp(head, final=final)),
)
STREAM_READERS: dict[int, tuple[StreamReader, ...]] = {
    0x00: (
        ("tuya", lambda head, final: read_tuya_tcp(head, final=final)),
        ("hik-sdk", lambda head, _: read_hik_sdk(head)),
        *PPPP_READERS,
    ),
    0x01: PPPP_READERS,
    0x02: PPPP_READERS,
    0x03: PPPP_READERS,
    0x04: PPPP_READERS,
    0x05: PPPP_READERS,
    0x20: (("dvrip", lambda head, _: read_dhip(head)),),
    ord("$"): (("hik-vtm", lambda head, _: read_hik_vtm(head)),),
    ord("0"): (("jt1078", lambda head, _: read_jt1078(head)),),
    ord("<"): (("isup", lambda head, final: read_isup(head, final=final)),),
    ord("{"): (("xiongmai-cloud", lambda head, _: read_xiongmai_cloud(head)),),
    0x7E: (("jt808", lambda head, final: read_jt808(head, final=final)),),
    0x9E: (("hik-lbs", lambda head, _: read_hik_lbs(head)),),
    0xA0: (*DVRIP_READERS, *BAICHUAN_READERS),
    0xB0: DVRIP_READERS,
    0xF0: BAICHUAN_READERS,
    0xF6: DVRIP_READERS,
    0xFF: (("dvrip", lambda head, _: read_dvrip_xiongmai(head)),),
}
