"""What contrib/monitoring gives to Prometheus, Grafana and Nagios, judged by Prometheus's own program where it can."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.promtool import promtool
from lastcall_plugins.metrics.exposition import FAMILIES

FOLDER = Path(__file__).parents[2] / "contrib" / "monitoring"
RULES, RULES_TEST, DASHBOARD = "lastcall.rules.yaml", "lastcall.rules-test.yaml", "grafana-lastcall.json"
NAME = re.compile(r"\blastcall_\w+")


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads((FOLDER / DASHBOARD).read_text())


def queries(dashboard: Any) -> Iterator[str]:
    """Every expression of PromQL, with a host in the place of the variable."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in dashboard["annotations"]["list"]]
    return (expression.replace("$instance", "host.*") for expression in found)


def test_the_alert_rules_are_rules_to_prometheus() -> None:
    done = promtool("check", "rules", str(FOLDER / RULES))
    assert done.returncode == 0, done.stderr
    assert "7 rules found" in done.stdout


def test_each_alert_fires_when_it_should_and_is_silent_when_it_should_be() -> None:
    done = promtool("test", "rules", str(FOLDER / RULES_TEST))
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = {
        rule["alert"] for group in yaml.safe_load((FOLDER / RULES).read_text())["groups"] for rule in group["rules"]
    }
    tried = [
        one for test in yaml.safe_load((FOLDER / RULES_TEST).read_text())["tests"] for one in test["alert_rule_test"]
    ]
    assert {one["alertname"] for one in tried if one["exp_alerts"]} == alerts
    assert {one["alertname"] for one in tried if not one["exp_alerts"]} == alerts


def test_a_rule_that_is_broken_fails_its_test(tmp_path: Path) -> None:
    """Without this nobody would know that the judge judges."""
    for name in (RULES, RULES_TEST):
        text = (FOLDER / name).read_text()
        (tmp_path / name).write_text(text.replace("lastcall_on_duty == 0", "lastcall_on_duty == 1"))
    assert promtool("test", "rules", str(tmp_path / RULES_TEST)).returncode != 0


def test_rules_and_dashboard_know_only_metrics_that_are_written(dashboard: Any) -> None:
    labels = {label for family in FAMILIES.values() for label in family.labels} | {"instance"}
    for text in ((FOLDER / RULES).read_text(), (FOLDER / RULES_TEST).read_text(), *queries(dashboard)):
        names = set(NAME.findall(text)) - {"lastcall_rules"}
        assert names <= FAMILIES.keys()
    for expression in queries(dashboard):
        assert {
            label for inside in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", inside)
        } <= labels
        assert NAME.search(expression)


def test_every_query_of_the_dashboard_is_one_to_prometheus(dashboard: Any, tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": expression} for number, expression in enumerate(queries(dashboard))]
    assert len(rules) > 15
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stderr


def test_the_dashboard_is_one_that_grafana_takes(dashboard: Any) -> None:
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["uid"]
    assert dashboard.get("id") is None, "the id is that of one Grafana"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (column, row)
            for column in range(place["x"], place["x"] + place["w"])
            for row in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - {"labels"} <= variables


def test_what_monitors_call_is_a_command_of_ours() -> None:
    for name in ("nagios.cfg", "icinga2.conf"):
        assert "check" in (text := (FOLDER / name).read_text())
        assert "--brief" in text


def test_the_page_on_monitoring_tells_every_metric_and_every_alert_as_it_is() -> None:
    page = (FOLDER.parents[1] / "docs/monitoring.md").read_text()
    told = {
        name: (re.findall(r"`(\w+)`", labels), text)
        for name, labels, text in re.findall(r"^\| `(lastcall_\w+)` \|([^|]*)\| (.*) \|$", page, re.MULTILINE)
    }
    assert told.keys() == FAMILIES.keys()
    for name, (labels, text) in told.items():
        assert labels == list(FAMILIES[name].labels)
        assert text.lower() == FAMILIES[name].help.rstrip(".").lower()
    alerts = re.findall(r"alert: (\w+)", (FOLDER / RULES).read_text())
    assert re.findall(r"^\| `(Lastcall\w+)` \|", page, re.MULTILINE) == alerts
