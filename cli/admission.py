"""What an API server would say of a GameServerSet, asked without one.

The rules are those of the CustomResourceDefinition, checked by the code of the local API server, so
that a manifest cannot be good here and refused there.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from localcluster.apiserver import crd
from shared.api import names
from shared.crds import custom_resource_definitions

# The API server names the value again, and the field: both stand at the beginning of our lines.
_NOISE = re.compile(r'^(Invalid|Unsupported) value: ("[^"]*"|[^:"]*): (\S+ in body )?')
_MISTYPED = re.compile(r'(must be of type \w+): "(\w+)"')


def find_faults(game_server_set: dict[str, Any]) -> list[str]:
    """Return what is wrong with a decoded manifest, one line each; empty when nothing is.

    Unknown fields come first: a typing mistake in a name is why another field is missing. Of
    several sentences about one field the last counts, because that is the one of our own rules.
    """
    (definition,) = (
        each
        for each in custom_resource_definitions()
        if each["spec"]["names"]["kind"] == names.GAMESERVERSET_KIND
    )
    (resource,) = crd.resources(definition)
    stored = deepcopy(game_server_set)
    unknown = [f"{path}: there is no such field" for path in resource.complete(stored)]
    causes = {
        cause.field: _MISTYPED.sub(r"\1, not \2", _NOISE.sub("", cause.message))
        for cause in resource.validate(stored, None)
        if cause.field != "<nil>"  # that rules were skipped, because of another fault
    }
    return unknown + [f"{field}: {message}" for field, message in causes.items()]
