"""RFC 7396 on plain JSON: what an API server does with a merge patch. Pure."""

from copy import deepcopy
from typing import Any


def merged(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` merged into it; neither is changed."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
