"""Lifecycle hooks: who asks to be waited for before a server goes or is updated (SPEC 6.11). Pure.

A hook names labels and finalizers. While a pod carries one of them the hook holds it: the server is
PreDelete or PreUpdate, and whoever set the label or finalizer removes it when the players are safe.
A pod that carries none is not held, so a hook costs a set nothing that does not use it.
Source: the lifecycle hooks of OpenKruise (labelsHandler, finalizersHandler), whose field names and
whose "any of them holds" these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.pods import Pod
    from shared.api.gameserverset import GameServerSet


def holds_deletion(owner: GameServerSet, pod: Pod) -> bool:
    """Tell whether the preDelete hook of the set keeps this pod from being deleted."""
    return owner.spec.lifecycle is not None and is_held(owner.spec.lifecycle.pre_delete, pod)


def holds_update(owner: GameServerSet, pod: Pod) -> bool:
    """Tell whether the inPlaceUpdate hook of the set keeps this pod from being patched."""
    return owner.spec.lifecycle is not None and is_held(owner.spec.lifecycle.in_place_update, pod)


def is_held(hook: Mapping[str, Any] | None, pod: Pod) -> bool:
    """Tell whether a hook holds a pod.

    Args:
        hook: labelsHandler (a map) and finalizersHandler (a list); None for no hook. What has
            another shape holds nothing: the API server keeps the field as it was written.
        pod: with its labels and finalizers.
    """
    if not hook:
        return False
    labels, finalizers = hook.get("labelsHandler"), hook.get("finalizersHandler")
    if isinstance(labels, dict) and any(
        pod.metadata.labels.get(key) == value for key, value in labels.items()
    ):
        return True
    return isinstance(finalizers, list) and any(
        each in pod.metadata.finalizers for each in finalizers
    )
