"""The options of `notify`: whom to tell, of what, in which words. Addresses stand elsewhere, where only root reads."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from lastcall.options import Duration, Options, Secret

Event = Literal["stopping", "forced", "stopped", "restored", "checked"]


def _with_known_fields(template: str) -> str:
    from lastcall_plugins.notify.wording import require_known_fields  # here: hardly any host has words of its own

    return require_known_fields(template)


Template = Annotated[str, AfterValidator(_with_known_fields)]


def _one_or_many(given: object) -> object:
    return [given] if isinstance(given, str) else given


class Words(Options):
    """The words of one event; what is not given is as usual."""

    title: Template | None = Field(default=None, description="The subject, one line, with fields in braces.")
    body: Template | None = Field(default=None, description="The text, with fields in braces.")


class MqttSettings(Options):
    """A broker that Home Assistant listens to."""

    host: str = Field(min_length=1, description="The broker.")
    port: int | None = Field(default=None, ge=1, le=65535, description="Its port; else 1883, and 8883 with `tls`.")
    tls: bool = Field(default=False, description="Speak TLS, and verify the broker by the system's authorities.")
    user: str | None = Field(default=None, description="Whom to log in as.")
    password_file: Secret | None = Field(default=None, description="Where the password is kept.")
    prefix: str = Field(
        default="homeassistant", pattern=r"^[^#+]+$", description="Home Assistant's prefix for discovery."
    )


class NotifySettings(Options):
    """The section `plugins.notify`. Without `urls` and `mqtt` nobody is told anything."""

    urls: Annotated[tuple[Secret, ...], BeforeValidator(_one_or_many)] = Field(
        default=(),
        strict=False,
        description="Where addresses of Apprise are kept, one a line: files, or systemd credentials.",
    )
    events: tuple[Event, ...] = Field(
        default=("stopping", "forced", "restored", "checked"),
        description="What to tell of: stopping, forced, stopped, restored, checked.",
    )
    by_hand: bool = Field(default=False, description="Tell of runs by hand, too; else of host stops and boots.")
    timeout: Duration = Field(
        default=5.0, gt=0, le=60, description="For sending while the host stops; what takes longer is sent after boot."
    )
    retry: Duration = Field(default=600.0, le=86_400, description="After boot, how long what was not sent is tried.")
    keep: Duration = Field(default=7 * 86_400.0, gt=0, description="Then what could not be sent is dropped.")
    words: Mapping[Event, Words] = Field(default_factory=dict[Event, Words], description="Other words, by event.")
    mqtt: MqttSettings | None = Field(default=None, description="A broker of MQTT, for Home Assistant.")
