"""What the handlers of pages are given beside the request, under the names `desk`, `site` and `principal`."""

from __future__ import annotations

from litestar.di import NamedDependency

from tieline.app.desk import Desk
from tieline.app.principal import Principal
from tieline.web.site import Site

TheDesk = NamedDependency[Desk]
TheSite = NamedDependency[Site]
Who = NamedDependency[Principal]
"""Who asks. Not for handlers that are open to everybody."""
