"""Who is on the site, and the machines off site that they meet.

10.20.0.0/16 is one switched network behind one gateway; off-site addresses are
from the documentation ranges of RFC 5737 and RFC 3849, but for 8.8.8.8.
"""

from __future__ import annotations

from pcaps.generator.lan import MILLISECOND, Host
from pcaps.generator.video import Model

GATEWAY_MAC = "64:d1:54:00:00:01"
GATEWAY = Host("gateway", GATEWAY_MAC, "10.20.0.1")
RECORDER = Host("nvr", "bc:32:5f:20:00:10", "10.20.200.10", camera=True)
RESOLVER = Host("resolver", "00:0c:29:20:00:53", "10.20.200.53")
TIME_SERVER = Host("time", "00:0c:29:20:01:23", "10.20.200.123")
OFFICE = Host("office-pc", "f4:8e:38:00:40:21", "10.20.40.21", ttl=128)
PRINTER = Host("printer", "3c:d9:2b:00:40:31", "10.20.40.31")
PHONE = Host("phone", "a4:83:e7:00:40:41", "10.20.40.41")
GATE = Host("gate-1", "44:19:b6:a0:00:01", "10.20.30.11", camera=True)
YARD = Host("yard-2", "3c:ef:8c:b0:00:02", "10.20.30.12", camera=True)

ORGANISATIONS = {
    "44:19:b6": "Hangzhou Hikvision Digital Technology Co.,Ltd.",
    "3c:ef:8c": "Zhejiang Dahua Technology Co., Ltd.",
    "bc:32:5f": "Zhejiang Dahua Technology Co., Ltd.",
}  # of the cameras' and recorder's MACs, IEEE registry
MODELS = {
    "gate-1": Model("Hikvision RTSP Server/1.0", "IP Camera(C1234)", "/Streaming/Channels/101"),
    "yard-2": Model("Rtsp Server/3.0", "Login to 4K0123PAZ9", "/cam/realmonitor"),
}
CLOUDS = ("hik-connect.com", "easy4ipcloud.com", "ezvizlife.com")  # listed camera clouds
CLOUD_IP = "203.0.113.55"
UNLISTED_IP = "198.51.100.77"
WEB_IP = "192.0.2.80"
VIEWER_IP = "198.51.100.201"
GOOGLE_DNS = "8.8.8.8"
NETWORKS = ("10.20.0.0/16", "fd12:3456::/32")
EVERYONE_MDNS = Host("mdns", "01:00:5e:00:00:fb", "224.0.0.251")
EVERYONE_SSDP = Host("ssdp", "01:00:5e:7f:ff:fa", "239.255.255.250")
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"


def far(ip: str, delay: int = 9 * MILLISECOND) -> Host:
    """Return a machine off site: its frames carry the gateway's MAC."""
    return Host(ip, GATEWAY_MAC, ip, ttl=52, on_site=False, delay=delay)


def with_ipv6(host: Host, ip: str) -> Host:
    """Return the same host under an IPv6 address."""
    return Host(host.name, host.mac, ip, host.ttl, host.on_site, host.camera, host.delay)
