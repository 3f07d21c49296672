"""Alert rules and dashboard: their expressions use what /metrics exports, and Prometheus' own promtool evaluates each rule."""

import json
import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import yaml

from console import metrics
from console.health import read_node
from core.settings.node import NodeSection
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.roles import heartbeats
from tests.deploy.kubernetes.manifests import FOLDER, of_kind
from tests.support.external_programs import tool

METRIC = re.compile(r"dicom_node_[a-z0-9_]+")
ROLES = ("listen", "conduct", "relay", "worker", "send", "console")
HEALTHY = {
    "dicom_node_disk_free_bytes": "1e12",
    "dicom_node_disk_total_bytes": "2e12",
    "dicom_node_ready": "1",
    "dicom_node_heartbeat_age_seconds": "3",
}
SLOW = {"UnitsOpenGrow", "NotAnalysedGrows", "DwellHigh", "DeliveryOld"}  # they look back for hours
DWELL = 'dicom_node_dwell_seconds_bucket{le="%s",until="delivered"}'
# For each alert: samples that raise it within two hours, a minute apart, in promtool's notation.
RAISED_BY = {
    "NotReady": {"dicom_node_ready": "0x120"},
    "DatabaseDown": {"dicom_node_database_up": "0x120"},
    "MetricsAbsent": {"other": "0x120"},
    "RoleSilent": {'dicom_node_heartbeat_age_seconds{role="relay"}': "31+60x120"},
    "DiskLow": {"dicom_node_disk_free_bytes": "1e9x120"},
    "ReceivePaused": {'dicom_node_receive_paused{reason="disk"}': "1x120"},
    "AlertOpen": {'dicom_node_alerts_open{kind="backlog"}': "1x120"},
    "InstancesRefused": {'dicom_node_received_total{answer="mismatch"}': "0+1x120"},
    "UnitsOpenGrow": {"dicom_node_units_open": "1+1x130"},
    "UnitsWithoutResult": {'dicom_node_units_without_job{cause="moved"}': "1x120"},
    "Undecided": {"dicom_node_undecided": "1x120"},
    "OutboxBacklog": {"dicom_node_outbox_backlog": "5x120"},
    "JobsFail": {'dicom_node_jobs{state="failed"}': "0+1x120"},
    "AttemptsFail": {'dicom_node_attempts_total{model="m",result="lost"}': "0+1x120"},
    "QueueOld": {"dicom_node_oldest_queued_seconds": "0+60x120"},
    "NotAnalysedGrows": {'dicom_node_outcomes_total{model="m",outcome="not_analysed"}': "0+0x59 0+1x60"},
    "DwellHigh": {DWELL % "60.0": "0+1x120", DWELL % "3600.0": "0+10x120", DWELL % "+Inf": "0+10x120"},
    "DeliveriesStuck": {'dicom_node_deliveries{destination="pacs",state="held"}': "0+1x120"},
    "DeliveryAttemptsFail": {'dicom_node_delivery_attempts_total{destination="pacs",result="retry"}': "0+1x120"},
    "DeliveryOld": {"dicom_node_oldest_delivery_seconds": "0+60x120"},
    "DestinationAway": {'dicom_node_destination_away_seconds{destination="pacs"}': "0+60x120"},
    "QuarantineGrows": {"dicom_node_quarantine_items": "0+1x120"},
    "AuditUnchained": {"dicom_node_audit_unchained": "2000x120"},
    "NotificationsWaiting": {"dicom_node_notifications_waiting": "1x120"},
    "NotificationsFail": {'dicom_node_notifications_total{result="failed"}': "0+1x120"},
}  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> list[dict[str, object]]:
    (group,) = of_kind("ha", "PrometheusRule")["dicom-node"]["spec"]["groups"]
    found: list[dict[str, object]] = group["rules"]
    return found


def dashboard() -> dict[str, list[str]]:
    """The expressions of the dashboard, by the title of their panel."""
    content = json.loads((FOLDER / "components" / "monitoring" / "dicom-node.json").read_text())
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in content["panels"]}


def exported(database: Database, folder: Path) -> str:
    """The page of /metrics of a node whose roles run."""
    Blobs(folder / "data" / "blobs")
    for role in ROLES:
        heartbeats.record_heartbeat(database, role, "host:1", {})
    return metrics.render(read_node(Settings(node=NodeSection(data_dir=folder / "data")), database)).decode()


def promtool(folder: Path, command: str, content: object) -> None:
    path = folder / "promtool.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    done = subprocess.run(
        [tool("promtool", "prometheus"), *command.split(), str(path)], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_expression_uses_metrics_that_are_exported(database: Database, tmp_path: Path, rules: list[dict[str, object]]) -> None:
    known = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", exported(database, tmp_path), re.MULTILINE):
        known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    named = {f"alert {rule['alert']}": [str(rule["expr"])] for rule in rules} | dashboard()
    for place, expressions in named.items():
        for expression in expressions:
            assert set(METRIC.findall(expression)), place
            assert set(METRIC.findall(expression)) <= known, place


def test_rules_and_dashboard_are_expressions_of_prometheus(tmp_path: Path, rules: list[dict[str, object]]) -> None:
    records = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(chain(*dashboard().values()))]
    promtool(tmp_path, "check rules", {"groups": [{"name": "alerts", "rules": rules}, {"name": "panels", "rules": records}]})


def test_each_alert_is_raised_by_its_condition_and_by_nothing_else(
    database: Database, tmp_path: Path, rules: list[dict[str, object]]
) -> None:
    """Each alert against its samples, and all of them against a healthy node, whose samples are those of /metrics."""
    assert {f"DicomNode{name}" for name in RAISED_BY} == {rule["alert"] for rule in rules}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dicom-node", "rules": rules}]}))
    healthy = []
    for line in exported(database, tmp_path).splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            healthy.append({"series": series, "values": f"{HEALTHY.get(series.partition('{')[0], value)}x180"})
    quiet = [{"eval_time": "90m", "alertname": str(rule["alert"]), "exp_alerts": []} for rule in rules]
    tests = [{"interval": "1m", "input_series": healthy, "alert_rule_test": quiet}]
    for name, samples in RAISED_BY.items():
        series = [{"series": series, "values": values} for series, values in samples.items()]
        raised = {
            "expr": f'count(ALERTS{{alertname="DicomNode{name}",alertstate="firing"}}) > bool 0',
            "eval_time": "119m" if name in SLOW else "45m",
        }
        tests.append(
            {"interval": "1m", "input_series": series, "promql_expr_test": [raised | {"exp_samples": [{"labels": "{}", "value": 1}]}]}
        )
    promtool(tmp_path, "test rules", {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests})
