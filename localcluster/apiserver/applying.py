"""The verb of server-side apply: create what is absent, else merge into it and replace it.

What is merged, kept and refused is decided in server_side_apply.py; here it meets the store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from localcluster.apiserver import errors, ownership, server_side_apply, write_rules
from localcluster.apiserver.objects import dig, fresh, timestamp

if TYPE_CHECKING:
    from localcluster.apiserver.requests import Target
    from localcluster.apiserver.verbs import Verbs, Written
    from localcluster.apiserver.write_rules import WriteOptions


def apply(
    verbs: Verbs, target: Target, body: bytes, options: WriteOptions, *, force: bool
) -> tuple[Written, bool]:
    """Make the object hold what the body says, and what only this manager applied before go.

    Args:
        verbs: reads and writes.
        target: which object, and whether through its status.
        body: the configuration, YAML or JSON.
        options: of the write; `manager` is who applies.
        force: take fields that others own.

    Returns:
        The object now, and whether it was created.

    Raises:
        ApiError: as create and replace, and 409 for fields that others own.
    """
    resource, key = target.resource, (target.namespace, target.name)
    parsed = server_side_apply.parse(body)
    if parsed.setdefault("metadata", {}).setdefault("name", target.name) != target.name:
        given = parsed["metadata"]["name"]
        raise errors.bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({target.name})"
        )
    manager = ownership.Manager(options.manager, "Apply", resource.api_version, target.subresource)
    now = timestamp(verbs.now())
    config = server_side_apply.configuration(resource, parsed, manager, now, force=force)
    current = verbs.store.get(resource.collection, key)
    if current is None:
        if target.subresource:
            raise errors.not_found(resource.group, resource.plural, target.name)
        if dig(parsed, "metadata", "uid"):
            why = (
                "uid mismatch: the provided object specified uid, and no existing object was found"
            )
            raise errors.conflict(resource.group, resource.plural, target.name, why)
        fields = server_side_apply.created(config)
        options = replace(options, managed_fields=fields)
        return verbs.create(resource, key[0], fresh(config.object), options), True
    live = current.presented(resource.api_version)
    merged, fields = server_side_apply.applied(resource, live, config)
    write_rules.check_same_uid(resource, live, merged)
    options = replace(options, managed_fields=fields)
    return verbs.replace(resource, key, fresh(merged), options, target.subresource), False
