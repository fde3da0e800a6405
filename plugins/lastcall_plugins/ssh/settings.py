"""The options of `ssh`: for all guests under `plugins.ssh`, for single ones under their key `ssh`."""

from pydantic import Field

from lastcall import Guest, Run
from lastcall.options import BY_METADATA, Duration, Options, Secret

KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"


class SshSettings(Options):
    """How to log in. What a guest does not say is taken from `plugins.ssh`. Passwords are given by reference only."""

    user: str = Field(default="root", min_length=1, description="Whom to log in as.", json_schema_extra=BY_METADATA)
    port: int = Field(default=22, ge=1, le=65535, description="The port.", json_schema_extra=BY_METADATA)
    address: str | None = Field(
        default=None,
        description="The guest's address, or `vsock`; else its DHCP lease, what its agent says, ARP, and its CID.",
        json_schema_extra=BY_METADATA,
    )
    key: Secret | None = Field(default=None, description="A private key: its file, or a systemd credential.")
    passphrase_file: Secret | None = Field(default=None, description="Where the key's passphrase is kept.")
    password_file: Secret | None = Field(default=None, description="Where the password is kept.")
    jump: str | None = Field(default=None, description="A host to go through: [user@]host[:port].")
    known_hosts: str = Field(default=KNOWN_HOSTS, description="Host keys of jump hosts, as OpenSSH keeps them.")
    timeout: Duration = Field(default=10.0, gt=0, description="For connecting and logging in, to one address.")


def settings_of(guest: Guest, run: Run) -> SshSettings:
    """The guest's settings over the plugin's."""
    for_all, for_one = run.options(SshSettings), run.options(SshSettings, guest)
    return for_all.model_copy(update={name: getattr(for_one, name) for name in for_one.model_fields_set})
