"""Rules that look beyond one object: its namespace, its account, quotas. Only reads the store.

Source: k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle, k8s.io/kubernetes
plugin/pkg/admission/serviceaccount
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.builtin import NAMESPACES, PODS, SERVICE_ACCOUNTS
from localcluster.apiserver.errors import Cause, forbidden, not_found
from localcluster.apiserver.quota import admit_pod

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Resource
    from localcluster.apiserver.store import Store

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


def admit_creation(store: Store, resource: Resource, obj: Object) -> None:
    """Refuse what has no place: its namespace is absent or ending, its account or quota is.

    Raises:
        ApiError: 404 for the namespace, 403 for the rest.
    """
    if not resource.namespaced:
        return
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    stored = store.get(NAMESPACES, ("", namespace))
    if stored is None:
        raise not_found("", "namespaces", namespace)
    if stored.object["metadata"].get("deletionTimestamp"):
        why = (
            f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        cause = Cause(
            "NamespaceTerminating",
            "metadata.namespace",
            f"namespace {namespace} is being terminated",
        )
        raise forbidden(resource.group, resource.plural, name, why, cause)
    if resource.collection == PODS:
        account = obj["spec"]["serviceAccountName"]
        if store.get(SERVICE_ACCOUNTS, (namespace, account)) is None:
            why = (
                f"error looking up service account {namespace}/{account}: "
                f'serviceaccount "{account}" not found'
            )
            raise forbidden("", "pods", name, why)
        # Last, as in the real server: what is refused for another reason uses nothing.
        admit_pod(store, obj)


def admit_deletion(resource: Resource, name: str) -> None:
    """Refuse to delete a namespace that the cluster cannot be without.

    Raises:
        ApiError: 403.
    """
    if resource.collection == NAMESPACES and name in _IMMORTAL:
        raise forbidden("", "namespaces", name, "this namespace may not be deleted")
