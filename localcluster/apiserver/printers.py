"""The rows of the built-in kinds except pods (podprinter.py). Pure.

Source: k8s.io/kubernetes pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.durations import age
from localcluster.apiserver.objects import Object, dig
from localcluster.apiserver.resources import Column, Printer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

NONE = "<none>"


def printer(*columns: tuple[Column, Callable[[Object, datetime], Any]]) -> Printer:
    """Return a Printer from pairs of column and cell function; the name always comes first."""
    functions = [function for _, function in columns]
    return Printer(
        (Column("Name", format="name"), *(column for column, _ in columns)),
        lambda obj, now: [obj["metadata"]["name"], *(cell(obj, now) for cell in functions)],
    )


def _field(*path: str, absent: Any = NONE) -> Callable[[Object, datetime], Any]:
    def cell(obj: Object, _now: datetime) -> Any:
        value = dig(obj, *path)
        return absent if value in (None, "") else value

    return cell


def _size(*names: str) -> Callable[[Object, datetime], int]:
    return lambda obj, _now: sum(len(obj.get(name) or ()) for name in names)


def _age(obj: Object, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


AGE = (Column("Age"), _age)
CREATED_AT = (Column("Created At"), _field("metadata", "creationTimestamp"))


def _selector(value: Any) -> str:
    """Return a label selector as people write it: `a=b,c in (d)`."""
    selector = value or {}
    labels = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    parts = [f"{key}={labels[key]}" for key in sorted(labels)]
    for expression in selector.get("matchExpressions") or []:
        key, operator = expression["key"], expression["operator"]
        values = ",".join(expression.get("values") or [])
        parts.append(
            {"Exists": key, "DoesNotExist": f"!{key}"}.get(
                operator, f"{key} {operator.lower()} ({values})"
            )
        )
    return ",".join(parts) or NONE


def _address(kind: str) -> Callable[[Object, datetime], str]:
    def cell(node: Object, _now: datetime) -> str:
        addresses = dig(node, "status", "addresses") or []
        return next((a["address"] for a in addresses if a.get("type") == kind), NONE)

    return cell


def _node_status(node: Object, _now: datetime) -> str:
    conditions = dig(node, "status", "conditions") or []
    ready = next((c.get("status") for c in conditions if c.get("type") == "Ready"), None)
    text = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    return f"{text},SchedulingDisabled" if dig(node, "spec", "unschedulable") else text


def _node_roles(node: Object, _now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    return ",".join(roles) or NONE


def _service_ports(service: Object, _now: datetime) -> str:
    ports = dig(service, "spec", "ports") or []
    shown = [
        ":".join(str(p[name]) for name in ("port", "nodePort") if p.get(name))
        + f"/{p.get('protocol', 'TCP')}"
        for p in ports
    ]
    return ",".join(shown) or NONE


def _endpoints(endpoints: Object, _now: datetime) -> str:
    shown = []
    for subset in endpoints.get("subsets") or []:
        ports = [f":{port['port']}" for port in subset.get("ports") or []] or [""]
        shown += [f"{a['ip']}{port}" for port in ports for a in subset.get("addresses") or []]
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + more or NONE


def _last_seen(event: Object, now: datetime) -> str:
    series = event.get("series") or {}
    seen = series.get("lastObservedTime") or event.get("lastTimestamp")
    return age(seen or event.get("firstTimestamp") or event.get("eventTime"), now)


def _first_seen(event: Object, now: datetime) -> str:
    return age(event.get("firstTimestamp") or event.get("eventTime"), now)


def _event_object(event: Object, _now: datetime) -> str:
    involved = event.get("involvedObject") or {}
    return f"{(involved.get('kind') or '').lower()}/{involved.get('name', '')}"


def _event_source(event: Object, _now: datetime) -> str:
    source = event.get("source") or {}
    parts = (
        source.get("component") or event.get("reportingComponent") or "",
        source.get("host") or event.get("reportingInstance") or "",
    )
    return ", ".join(part for part in parts if part)


def _event_row(event: Object, now: datetime) -> list[Any]:
    return [
        _last_seen(event, now),
        event.get("type", ""),
        event.get("reason", ""),
        _event_object(event, now),
        dig(event, "involvedObject", "fieldPath") or "",
        _event_source(event, now),
        (event.get("message") or "").strip(),
        _first_seen(event, now),
        dig(event, "series", "count") or event.get("count") or 1,
        event["metadata"]["name"],
    ]


# The only kind whose first column is not the name.
EVENT = Printer(
    (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        Column("Subobject", priority=1),
        Column("Source", priority=1),
        Column("Message"),
        Column("First Seen", priority=1),
        Column("Count", type="integer", priority=1),
        Column("Name", priority=1),
    ),
    _event_row,
)


def _owner(obj: Object, _now: datetime) -> str:
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            group = reference["apiVersion"].rpartition("/")[0]
            kind = reference["kind"].lower()
            return f"{kind}{'.' + group if group else ''}/{reference['name']}"
    return NONE


def _role_ref(obj: Object, _now: datetime) -> str:
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _quota(kind: str) -> Callable[[Object, datetime], str]:
    def cell(quota: Object, _now: datetime) -> str:
        hard = dig(quota, "status", "hard") or dig(quota, "spec", "hard") or {}
        used = dig(quota, "status", "used") or {}
        names = sorted(name for name in hard if name.startswith("limits.") == (kind == "limits"))
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return cell


def _disruptions(name: str) -> Callable[[Object, datetime], str]:
    return lambda obj, _now: str((obj.get("spec") or {}).get(name, "N/A"))


NAMESPACE = printer((Column("Status"), _field("status", "phase")), AGE)
CONFIG_MAP = printer((Column("Data"), _size("data", "binaryData")), AGE)
SECRET = printer((Column("Type"), _field("type")), (Column("Data"), _size("data")), AGE)
SERVICE = printer(
    (Column("Type"), _field("spec", "type", absent="ClusterIP")),
    (Column("Cluster-IP"), _field("spec", "clusterIP")),
    (Column("External-IP"), _field("spec", "externalName")),
    (Column("Port(s)"), _service_ports),
    AGE,
    (Column("Selector", priority=1), lambda obj, _: _selector(dig(obj, "spec", "selector"))),
)
ENDPOINTS = printer((Column("Endpoints"), _endpoints), AGE)
_ACCESS = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
PERSISTENT_VOLUME_CLAIM = printer(
    (Column("Status"), _field("status", "phase", absent="")),
    (Column("Volume"), _field("spec", "volumeName", absent="")),
    (Column("Capacity"), _field("status", "capacity", "storage", absent="")),
    (
        Column("Access Modes"),
        lambda obj, _: ",".join(_ACCESS.get(m, m) for m in dig(obj, "status", "accessModes") or []),
    ),
    (Column("StorageClass"), _field("spec", "storageClassName", absent="")),
    AGE,
    (Column("VolumeMode", priority=1), _field("spec", "volumeMode", absent="Filesystem")),
)


def _claim(volume: Object, _now: datetime) -> str:
    claim = dig(volume, "spec", "claimRef") or {}
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


PERSISTENT_VOLUME = printer(
    (Column("Capacity"), _field("spec", "capacity", "storage", absent="")),
    (
        Column("Access Modes"),
        lambda obj, _: ",".join(_ACCESS.get(m, m) for m in dig(obj, "spec", "accessModes") or []),
    ),
    (Column("Reclaim Policy"), _field("spec", "persistentVolumeReclaimPolicy", absent="")),
    (Column("Status"), _field("status", "phase", absent="")),
    (Column("Claim"), _claim),
    (Column("StorageClass"), _field("spec", "storageClassName", absent="")),
    (Column("Reason"), _field("status", "reason", absent="")),
    AGE,
)
STORAGE_CLASS = printer(
    (Column("Provisioner"), _field("provisioner", absent="")),
    (Column("ReclaimPolicy"), _field("reclaimPolicy", absent="Delete")),
    (Column("VolumeBindingMode"), _field("volumeBindingMode", absent="Immediate")),
    (
        Column("AllowVolumeExpansion", type="boolean"),
        _field("allowVolumeExpansion", absent=False),
    ),
    AGE,
)


def _scaled(autoscaler: Object, _now: datetime) -> str:
    target = dig(autoscaler, "spec", "scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


HORIZONTAL_POD_AUTOSCALER = printer(
    (Column("Reference"), _scaled),
    (Column("MinPods"), _field("spec", "minReplicas", absent="<unset>")),
    (Column("MaxPods", type="integer"), _field("spec", "maxReplicas", absent=0)),
    (Column("Replicas", type="integer"), _field("status", "currentReplicas", absent=0)),
    AGE,
)
NODE = printer(
    (Column("Status"), _node_status),
    (Column("Roles"), _node_roles),
    AGE,
    (Column("Version"), _field("status", "nodeInfo", "kubeletVersion", absent="")),
    (Column("Internal-IP", priority=1), _address("InternalIP")),
    (Column("External-IP", priority=1), _address("ExternalIP")),
    (Column("OS-Image", priority=1), _field("status", "nodeInfo", "osImage", absent="<unknown>")),
    (
        Column("Kernel-Version", priority=1),
        _field("status", "nodeInfo", "kernelVersion", absent="<unknown>"),
    ),
    (
        Column("Container-Runtime", priority=1),
        _field("status", "nodeInfo", "containerRuntimeVersion", absent="<unknown>"),
    ),
)
SERVICE_ACCOUNT = printer((Column("Secrets"), _size("secrets")), AGE)
RESOURCE_QUOTA = printer(
    (Column("Request"), _quota("requests")), (Column("Limit"), _quota("limits")), AGE
)
LEASE = printer((Column("Holder"), _field("spec", "holderIdentity", absent="")), AGE)
CONTROLLER_REVISION = printer(
    (Column("Controller"), _owner), (Column("Revision"), _field("revision", absent=0)), AGE
)


def _ready_replicas(deployment: Object, _now: datetime) -> str:
    ready = dig(deployment, "status", "readyReplicas") or 0
    return f"{ready}/{(deployment.get('spec') or {}).get('replicas', 1)}"


DEPLOYMENT = printer(
    (Column("Ready"), _ready_replicas),
    (Column("Up-to-date", type="integer"), _field("status", "updatedReplicas", absent=0)),
    (Column("Available", type="integer"), _field("status", "availableReplicas", absent=0)),
    AGE,
)
POD_DISRUPTION_BUDGET = printer(
    (Column("Min Available"), _disruptions("minAvailable")),
    (Column("Max Unavailable"), _disruptions("maxUnavailable")),
    (
        Column("Allowed Disruptions", type="integer"),
        _field("status", "disruptionsAllowed", absent=0),
    ),
    AGE,
)
NETWORK_POLICY = printer(
    (Column("Pod-Selector"), lambda obj, _: _selector(dig(obj, "spec", "podSelector"))), AGE
)
ROLE = printer(CREATED_AT)
ROLE_BINDING = printer((Column("Role"), _role_ref), AGE)
CUSTOM_RESOURCE_DEFINITION = printer(CREATED_AT)
REVIEW = printer()
