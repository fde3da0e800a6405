"""What a start costs that does nothing but load the libraries of the plugin API and stop one guest: run by itself.

Whatever lastcall does comes on top of this.
"""

import gc

gc.disable()  # as lastcall does while it loads

import asyncio  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402

import libvirt  # noqa: E402
import pluggy  # noqa: E402
import yaml  # noqa: E402
from pydantic import BaseModel, ConfigDict  # noqa: E402


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


if __name__ == "__main__":
    pluggy.PluginManager("least").register(sys.modules[__name__])
    read = Settings.model_validate(yaml.load("connections: ['test:///default']", Loader=yaml.CSafeLoader))
    print(json.dumps(asyncio.run(stop_everybody(read))))
