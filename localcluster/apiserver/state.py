"""Everything one running server consists of, put together. No I/O.

The parts do not know each other: verbs write to the store, the store tells the controllers and the
watches.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcluster.apiserver.admission import SYSTEM_NAMESPACES
from localcluster.apiserver.authentication import Authenticator, User
from localcluster.apiserver.authorization import Authorizer
from localcluster.apiserver.bootstrap_roles import bootstrap_objects
from localcluster.apiserver.builtin import builtin_resources
from localcluster.apiserver.controllers import Controllers
from localcluster.apiserver.crd import DEFINITION
from localcluster.apiserver.definitions import DefinitionController
from localcluster.apiserver.disruption import Disruptions
from localcluster.apiserver.fault_injection import FaultInjection
from localcluster.apiserver.garbage import GarbageCollector
from localcluster.apiserver.namespaces import NamespaceController, create_namespaces
from localcluster.apiserver.nodes import NODE_GRACE_SECONDS, NodeLifecycle
from localcluster.apiserver.objects import dig
from localcluster.apiserver.persistence import Saved, restore
from localcluster.apiserver.quota import QuotaController
from localcluster.apiserver.rbac import RBAC_GROUP, RoleAuthorizer
from localcluster.apiserver.resources import Registry
from localcluster.apiserver.reviews import Reviews, review_resources
from localcluster.apiserver.store import HISTORY_EVENTS, Store
from localcluster.apiserver.verbs import Verbs
from localcluster.apiserver.write_rules import WriteOptions
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from localcluster.apiserver.faults import FaultRule
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.watch import Watch

_SIGNING_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The parts that requests are answered from.

    Args:
        registry: what is served.
        verbs: reads and writes.
        controllers: what follows from writes.
        authenticator: who may ask.
        kubelet_token: bearer token for logs and exec.
        reviews: answers questions about rights.
        authorizer: who may do what.
        injection: faults on purpose.
        disruptions: answers evictions.
        watches: those that are open, to be closed at the end.
        nodes: watches over the nodes; its `run` is started by the program.
        signing_key: of service-account tokens.
        control: whether the control endpoint is served.
    """

    registry: Registry
    verbs: Verbs
    controllers: Controllers
    authenticator: Authenticator
    kubelet_token: str
    reviews: Reviews
    authorizer: Authorizer
    injection: FaultInjection
    disruptions: Disruptions
    watches: set[Watch]
    nodes: NodeLifecycle
    signing_key: bytes
    control: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What a server may do beyond answering.

    Args:
        rbac: decide by roles; otherwise everybody who is authenticated may do everything.
        control: serve the control endpoint.
        faults: in force from the start.
        node_grace_seconds: how long a node may be silent before it counts as not ready.
        saved: the state of an earlier run; None begins with none.
    """

    rbac: bool = False
    control: bool = False
    faults: tuple[FaultRule, ...] = ()
    node_grace_seconds: float = NODE_GRACE_SECONDS
    saved: Saved | None = None


def make_api_server(
    static_users: Mapping[str, User],
    kubelet_token: str,
    definitions: Iterable[Object],
    schedule: Callable[[Callable[[], None]], object],
    history_events: int = HISTORY_EVENTS,
    options: Options = Options(),
) -> ApiServer:
    """Return a server with its system namespaces and the given CustomResourceDefinitions.

    Args:
        static_users: bearer token -> user.
        kubelet_token: what the kubelet's streaming server expects.
        definitions: CustomResourceDefinition objects; changed in place.
        schedule: runs a function soon (`loop.call_soon`).
        history_events: how far back a watch can resume, per collection.
        options: what else it does.

    Raises:
        ApiError: a definition is refused.
    """
    registry = Registry((*builtin_resources(), DEFINITION, *review_resources()))
    saved = options.saved or Saved(0, secrets.token_bytes(_SIGNING_KEY_BYTES), ())
    # Milliseconds since the epoch: see the module docstring of store.py.
    store = Store(max(int(utc_now().timestamp() * 1000), saved.version + 1), history_events)
    verbs = Verbs(store, utc_now)
    disruptions = Disruptions(verbs, registry)
    nodes = NodeLifecycle(verbs, registry, options.node_grace_seconds, monotonic_seconds)
    controllers = Controllers(
        store,
        (
            DefinitionController(verbs, registry),
            NamespaceController(verbs, registry),
            GarbageCollector(verbs, registry),
            nodes,
            QuotaController(store),
            disruptions,
        ),
        schedule,
    )
    authenticator = Authenticator(store, static_users, saved.key, utc_now)
    authorizer = Authorizer(RoleAuthorizer(store) if options.rbac else None)
    restore(store, saved)
    create_namespaces(verbs, registry, SYSTEM_NAMESPACES)
    if options.rbac:
        _create_roles(verbs, registry)
    for definition in definitions:
        _define(verbs, definition)
    controllers.drain()
    watches: set[Watch] = set()
    return ApiServer(
        registry,
        verbs,
        controllers,
        authenticator,
        kubelet_token,
        Reviews(authenticator, authorizer),
        authorizer,
        FaultInjection(store, watches, options.faults),
        disruptions,
        watches,
        nodes,
        saved.key,
        options.control,
    )


def _create_roles(verbs: Verbs, registry: Registry) -> None:
    for plural, role in bootstrap_objects():
        resource = registry.of_collection((RBAC_GROUP, plural))
        absent = verbs.store.get((RBAC_GROUP, plural), ("", role["metadata"]["name"])) is None
        if resource is not None and absent:
            verbs.create(resource, "", role, WriteOptions())


def _define(verbs: Verbs, definition: Object) -> None:
    """Create a definition, or bring that of an earlier run up to date."""
    key = ("", str(dig(definition, "metadata", "name")))
    stored = verbs.store.get(DEFINITION.collection, key)
    if stored is None:
        verbs.create(DEFINITION, "", definition, WriteOptions())
        return
    metadata = {**stored.object["metadata"], **definition["metadata"]}
    verbs.replace(DEFINITION, key, {**definition, "metadata": metadata}, WriteOptions())
