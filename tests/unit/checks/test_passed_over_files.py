"""A file that looks like a part of the configuration and is not read is told of, as its author takes it for read."""

from pathlib import Path

import pytest

from lastcall.checks.passed_over_files import passed_over_files
from support import run_lastcall


@pytest.mark.parametrize("name", ["50-db.yml", "50-db.YAML", "50-db.Yml"])
def test_a_file_that_is_named_almost_like_a_configuration_is_told_of_as_not_read(tmp_path: Path, name: str) -> None:
    config, other = tmp_path / "config.yaml", tmp_path / "conf.d" / name
    other.parent.mkdir()
    config.write_text(f'connections: ["test:///default"]\npaths: {{state: {tmp_path}/s, run: {tmp_path}/r}}\n')
    other.write_text("guests: [{match: test, stop: [save]}]\n")
    for words in (["check"], ["config", "check"]):
        done = run_lastcall(config, *words)
        assert f"{other}: is not read" in done.stdout + done.stderr
        assert done.returncode == 0, "it is no reason to do nothing"
    (problem,) = passed_over_files(config)
    assert problem.remedy.startswith(f"mv {other} {other.parent}/50-db.yaml")


def test_what_is_no_configuration_or_switched_off_is_not_told_of(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    for name in ("10-x.yaml", "20-x.yaml.off", "30-x.yml~", ".40-x.yml", "README", "50-x.conf", "60-yml"):
        (tmp_path / "conf.d" / name).write_text("")
    for name in ("config.yaml", "config.yml", "other.yml"):
        (tmp_path / name).write_text("")
    assert list(passed_over_files(tmp_path / "config.yaml")) == []
    (tmp_path / "config.yaml").unlink()
    assert [one.where for one in passed_over_files(tmp_path / "config.yaml")] == [str(tmp_path / "config.yml")]
