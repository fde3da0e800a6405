"""What a start costs that does nothing but load the libraries of the plugin API and stop one guest.

Whatever lastcall does comes on top of this.
"""

import asyncio
import json
import sys

import libvirt
import pluggy
import yaml
from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """The only model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    connections: list[str]


async def stop_everybody(settings: Settings) -> dict[str, str]:
    """Ask each guest of each connection, in the loop's own thread."""
    stopped: dict[str, str] = {}
    for uri in settings.connections:
        connection = libvirt.open(uri)
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            domain.shutdown()
            stopped[domain.name()] = "stopped"
    return stopped


def main() -> None:
    """Read a configuration, and stop everybody."""
    pluggy.PluginManager("least").register(sys.modules[__name__])
    read = Settings.model_validate(yaml.load("connections: ['test:///default']", Loader=yaml.CSafeLoader))
    print(json.dumps(asyncio.run(stop_everybody(read))))
