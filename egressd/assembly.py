"""Puts an engine together from its parts; the one place that knows how to make them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from egressd.engine import Engine
from egressd.identify.inventory import Inventory
from egressd.identify.oui import load_oui
from egressd.identify.rulefile import load_identity_rules

if TYPE_CHECKING:
    from typing import Literal

    from egressd.attribute.geo import Geo
    from egressd.attribute.services import Services
    from egressd.config import Site
    from egressd.dataplane.plane import Plane
    from egressd.dataplane.reference import ReferencePlane
    from egressd.engine import Witnessing


def assemble(  # noqa: PLR0913 - the choices a user has
    site: Site,
    *,
    services: Services,
    geo: Geo,
    judge: Literal["cameras", "all"] = "cameras",
    log: Literal["judged", "all"] = "judged",
    decoder: Literal["fast", "reference"] = "fast",
    silent: bool = False,
    witness: Witnessing | None = None,
) -> Engine:
    """Return an engine for a site; `decoder` says which data plane it stands on.

    A `silent` one makes no events, only the case: for those who do not listen. A `witness` is
    shown the looks at each batch before its events are handed out.
    """
    return Engine(
        site,
        services=services,
        geo=geo,
        inventory=Inventory(site, load_oui(), services, load_identity_rules()),
        plane=_plane(site, decoder, all_flows=log == "all"),
        judge_all=judge == "all",
        log_all=log == "all",
        silent=silent,
        witness=witness,
    )


def _plane(site: Site, decoder: str, *, all_flows: bool) -> Plane | ReferencePlane:
    prefixes = [(p.network, p.length, p.version) for p in site.prefixes()]
    if decoder == "reference":
        from egressd.dataplane.reference import ReferencePlane  # noqa: PLC0415 - dpkt is slow to load

        return ReferencePlane(prefixes, 0, all_flows=all_flows)
    from egressd.dataplane.plane import Plane  # noqa: PLC0415 - only one of the two is needed

    # The seed only keeps a hostile sender from aiming at one bucket; no output depends on it.
    return Plane(prefixes, secrets.randbits(64), all_flows=all_flows)
