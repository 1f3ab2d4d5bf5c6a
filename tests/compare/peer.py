#!/usr/bin/env python3
"""What a user would write instead of this tool, with the vendors' own libraries.

It reads the last hours (PEER_HOURS, default 24) of CrowdStrike Falcon (falconpy) or Carbon Black Cloud
(requests), keeps one submission per indicator, and sends them to Recorded Future Collective Insights
(psengine). It has no ledger, no thresholds, and only the retries of the libraries.

The library of Carbon Black supports only https:// URLs, so it cannot be used with the sandbox. A search
is a single request, and that library uses `requests` too.

It reads the variables that the sandbox prints, and connects to 127.0.0.1 only.
"""

import ipaddress
import os
import sys
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

PAGE = 1000
BATCH = 1000


def loopback(variable):
    """Returns the URL in a variable, which must be on 127.0.0.1."""
    url = os.environ[variable]
    if urlsplit(url).hostname != "127.0.0.1":
        sys.exit(f"{variable}={url}: only a sandbox on 127.0.0.1 is allowed")
    return url


# psengine reads its base URL from the environment when it is imported.
os.environ["RF_BASE_URL"] = loopback("RF_API_URL")

from psengine.collective_insights import CollectiveInsights  # noqa: E402
from psengine.config import Config  # noqa: E402


def millis(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def as_millis(text):
    """Changes the fractional digits of a timestamp to three."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return f"{whole}.{(rest + '000')[:3]}Z"


# --- CrowdStrike ----------------------------------------------------------------------------------

TYPES = {
    "hash_sha256": ("hash", 64),
    "sha256": ("hash", 64),
    "hash_sha1": ("hash", 40),
    "sha1": ("hash", 40),
    "hash_md5": ("hash", 32),
    "md5": ("hash", 32),
    "domain": ("domain", None),
    "ipv4": ("ip", None),
    "ipv6": ("ip", None),
    "url": ("url", None),
}


def indicators(ioc_type, value):
    """Yields the valid indicators in a value of an alert."""
    kind, length = TYPES.get((ioc_type or "").lower(), (None, None))
    if kind is None or not value:
        return
    for part in [value] if kind == "url" else value.split(","):
        part = part.strip()
        if kind == "hash":
            part = part.lower()
            if len(part) != length or part.strip("0123456789abcdef"):
                continue
        elif kind == "ip":
            try:
                address = ipaddress.ip_address(part)
            except ValueError:
                continue
            if not address.is_global:
                continue
            part = str(address)
        elif kind == "domain":
            part = part.lower().rstrip(".")
            if "." not in part or part.endswith((".local", ".internal", ".lan", ".corp", ".home")):
                continue
        if part:
            yield kind, part


def mitre(alert):
    codes = [alert.get("tactic_id"), alert.get("technique_id")]
    for attack in alert.get("mitre_attack") or []:
        codes += [attack.get("tactic_id"), attack.get("technique_id")]
    return sorted({code for code in codes if code and code.startswith("T")}) or None


def crowdstrike(start, end):
    from falconpy import Alerts

    falcon = Alerts(
        client_id=os.environ["CS_CLIENT_ID"],
        client_secret=os.environ["CS_CLIENT_SECRET"],
        base_url=loopback("CS_BASE_URL"),
    )
    alert_filter = f"product:'epp'+created_timestamp:>='{millis(start)}'+created_timestamp:<'{millis(end)}'"
    query = {"filter": alert_filter, "limit": PAGE, "sort": "created_timestamp|asc"}
    found, alerts = {}, 0
    while True:
        response = falcon.get_alerts_combined(**query)
        if response["status_code"] != 200:
            sys.exit(f"CrowdStrike: {response}")
        body = response["body"]
        for alert in body["resources"] or []:
            alerts += 1
            mentions = [("ioc_value", alert)]
            mentions += [("ioc_context.ioc_value", context) for context in alert.get("ioc_context") or []]
            for field, mention in mentions:
                for kind, value in indicators(mention.get("ioc_type"), mention.get("ioc_value")):
                    if (kind, value) not in found:
                        found[kind, value] = {
                            "ioc_type": kind,
                            "ioc_value": value,
                            "ioc_field": field,
                            "ioc_source_type": "crowdstrike:falcon",
                            "timestamp": as_millis(alert["timestamp"]),
                            "detection_type": "correlation",
                            "detection_id": alert["composite_id"],
                            "detection_name": alert.get("description") or None,
                            "incident_id": alert["composite_id"],
                            "incident_name": alert.get("display_name") or None,
                            "incident_type": "crowdstrike-falcon-alert",
                            "mitre_codes": mitre(alert),
                        }
        query["after"] = body["meta"]["pagination"].get("after")
        if not query["after"]:
            return found, alerts


# --- Carbon Black ---------------------------------------------------------------------------------


def carbonblack(start, end):
    import requests

    session = requests.Session()
    session.headers["X-Auth-Token"] = f"{os.environ['CB_SECRET']}/{os.environ['CB_API_ID']}"
    url = f"{loopback('CB_HOSTNAME')}/api/alerts/v7/orgs/{os.environ['CB_ORG_ID']}/alerts/_search"
    found, alerts, row = {}, 0, 1
    while True:
        response = session.post(
            url,
            json={
                "time_range": {"start": millis(start), "end": millis(end)},
                "start": row,
                "rows": PAGE,
                "sort": [{"field": "backend_timestamp", "order": "ASC"}],
            },
            timeout=120,
        )
        response.raise_for_status()
        body = response.json()
        for alert in body["results"]:
            alerts += 1
            has_indicator = alert.get("blocked_sha256") or alert.get("blocked_md5") or alert.get("ioc_hit")
            for kind, value in indicators("sha256", alert.get("process_sha256")) if has_indicator else ():
                if (kind, value) not in found:
                    codes = {alert.get("attack_tactic"), alert.get("attack_technique")}
                    found[kind, value] = {
                        "ioc_type": kind,
                        "ioc_value": value,
                        "ioc_field": "process_sha256",
                        "ioc_source_type": "carbonblack:cloud",
                        "timestamp": as_millis(alert["detection_timestamp"]),
                        "detection_type": "correlation",
                        "detection_id": alert["id"],
                        "detection_name": alert.get("reason") or None,
                        "incident_id": alert["id"],
                        "incident_type": "carbonblack-cloud-alert",
                        "mitre_codes": sorted(code for code in codes if code) or None,
                    }
        row += len(body["results"])
        # Rows beyond 10,000 cannot be read; the comparison stays below.
        if not body["results"] or row > body["num_found"]:
            return found, alerts


# --- Recorded Future ------------------------------------------------------------------------------


def submit(found):
    Config.init(app_id="collective-insights/0.0.0", rf_token=os.environ["RF_API_KEY"])
    service = CollectiveInsights()
    request = service.rf_client.request

    def in_millis(method, url, data):
        """Shortens the timestamps: psengine writes six digits, the sandbox accepts only three."""
        for item in data["data"]:
            item["timestamp"] = as_millis(item["timestamp"])
        return request(method, url=url, data=data)

    service.rf_client.request = in_millis
    insights = [service.create(**item) for item in found.values()]
    for begin in range(0, len(insights), BATCH):
        service.submit(insights[begin : begin + BATCH], debug=False)


def main():
    readers = {"crowdstrike": crowdstrike, "carbonblack": carbonblack}
    if len(sys.argv) != 2 or sys.argv[1] not in readers:
        sys.exit("usage: peer.py crowdstrike|carbonblack")
    hours = float(os.environ.get("PEER_HOURS", "24"))
    end = datetime.now(timezone.utc)
    found, alerts = readers[sys.argv[1]](end - timedelta(hours=hours), end)
    submit(found)
    print(f"{alerts} alerts, {len(found)} submissions")


if __name__ == "__main__":
    main()
