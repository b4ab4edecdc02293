"""Which objects of the Kubernetes API Gamekeeper speaks to, and the paths they live under. Pure.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource URIs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from shared.api import names


class ObjectKey(NamedTuple):
    """Names one object of a resource. The namespace of a cluster-scoped object is empty."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API.

    Attributes:
        group: API group; empty for core.
        plural: lower-case plural name, as in paths.
        namespaced: false for cluster-scoped resources.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects, for example `game.kruise.io/v1alpha1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> str:
        """Return the URL path of the collection, of one object, or of its subresource.

        Args:
            namespace: None or empty for all namespaces (or a cluster-scoped resource).
            name: None for the collection.
            subresource: for example `status`; needs a name.

        Raises:
            ValueError: the parts do not fit together; a fault of the caller's code.
        """
        if name is not None and self.namespaced and not namespace:
            raise ValueError(f"{self.kind} {name!r} needs a namespace")
        if namespace and not self.namespaced:
            raise ValueError(f"{self.kind} has no namespace; {namespace!r} was given")
        if subresource is not None and name is None:
            raise ValueError(f"subresource {subresource!r} needs a name")
        root = ("apis", self.group, self.version) if self.group else ("api", self.version)
        scope = ("namespaces", namespace) if namespace else ()
        parts = (*root, *scope, self.plural, *filter(None, (name, subresource)))
        return "/" + "/".join(quote(part, safe="") for part in parts)

    def path_of(self, key: ObjectKey, subresource: str | None = None) -> str:
        """Return the URL path of the object `key` or of its subresource."""
        return self.path(key.namespace or None, key.name, subresource)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """What an Event is about: enough to find it, and the uid to tell namesakes apart."""

    resource: Resource
    key: ObjectKey
    uid: str = ""

    def render(self) -> dict[str, Any]:
        """Return the core/v1 ObjectReference."""
        reference = {
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "namespace": self.key.namespace,
            "name": self.key.name,
            "uid": self.uid,
        }
        return {field: value for field, value in reference.items() if value}


PODS = Resource("", "v1", "pods", "Pod")
EVENTS = Resource("", "v1", "events", "Event")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")
SECRETS = Resource("", "v1", "secrets", "Secret")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
PERSISTENTVOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
PERSISTENTVOLUMECLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DISRUPTIONBUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
TOKENREVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
SUBJECTACCESSREVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
GAMESERVERS = Resource(names.GROUP, names.VERSION, names.GAMESERVERS, names.GAMESERVER_KIND)
GAMESERVERSETS = Resource(
    names.GROUP, names.VERSION, names.GAMESERVERSETS, names.GAMESERVERSET_KIND
)
AUTOSCALERS = Resource(
    names.AUTOSCALING_GROUP, names.VERSION, names.AUTOSCALERS, names.AUTOSCALER_KIND
)
