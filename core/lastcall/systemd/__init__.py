"""systemd: how a run is told to it, why the host stops, and the units that make it call lastcall."""
