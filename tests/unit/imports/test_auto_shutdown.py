"""What is set for libvirt's own shutdown of guests, and how long logind waits for it."""

from pathlib import Path

import pytest

from lastcall.imports.auto_shutdown import auto_shutdown, inhibit_delay


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_setting_that_stops_guests_is_found_with_its_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        "etc/libvirt/qemu.conf",
        '#auto_shutdown_try_save = "all"\nauto_shutdown_try_shutdown="persistent"\n\tauto_shutdown_poweroff = "none"\n'
        'auto_shutdown_wait = 30\nauto_shutdown_try_save = "all"\n',
    )
    (tmp_path / "etc/libvirt/broken.conf").mkdir()
    found = [(one.path.name, str(one)) for one in auto_shutdown(tmp_path)]
    assert found == [
        ("qemu.conf", "auto_shutdown_try_shutdown is persistent"),
        ("qemu.conf", "auto_shutdown_try_save is all"),
    ]
    assert 'auto_shutdown_try_save = "none"' in [one.remedy for one in auto_shutdown(tmp_path)][1]


@pytest.mark.parametrize(
    ("files", "seconds"),
    [
        ({}, 5),
        ({"etc/systemd/logind.conf": "[Login]\n#InhibitDelayMaxSec=5\n"}, 5),
        ({"etc/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec=30\n"}, 30),
        ({"usr/lib/systemd/logind.conf": "[Login]\nInhibitDelayMaxSec = 1min 30s \n"}, 90),
        (
            {
                "etc/systemd/logind.conf": "InhibitDelayMaxSec=9\n",
                "usr/lib/systemd/logind.conf": "InhibitDelayMaxSec=1\n",
            },
            9,
        ),
        (
            {
                "etc/systemd/logind.conf": "InhibitDelayMaxSec=9\n",
                "usr/lib/systemd/logind.conf.d/10-a.conf": "InhibitDelayMaxSec=100ms\n",
            },
            0.1,
        ),
        (
            {
                "etc/systemd/logind.conf.d/20-a.conf": "InhibitDelayMaxSec=3\n",
                "run/systemd/logind.conf.d/20-a.conf": "InhibitDelayMaxSec=8\n",
                "usr/lib/systemd/logind.conf.d/10-b.conf": "InhibitDelayMaxSec=7\n",
            },
            3,
        ),
        ({"etc/systemd/logind.conf": "InhibitDelayMaxSec=7\nInhibitDelayMaxSec=soon\n"}, 7),
    ],
)
def test_logind_waits_as_long_as_the_last_of_its_files_says(
    tmp_path: Path, files: dict[str, str], seconds: float
) -> None:
    for name, text in files.items():
        write(tmp_path, name, text)
    assert inhibit_delay(tmp_path) == seconds
