"""The control endpoint: what tests tell the server about itself. Off unless `--control` is given.

| request | what it does |
| --- | --- |
| GET /control/faults | the rules in force, with their hits |
| POST /control/faults | adds the rule in the body (the fields of FaultRule) |
| DELETE /control/faults, /control/faults/ID | takes all rules, or one, out of force |
| GET /control/requests | what every user asked for, each thing once |
| DELETE /control/requests | begins that record anew |

Only members of system:masters may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcluster.apiserver import errors, responses
from localcluster.apiserver.authorization import is_master
from localcluster.apiserver.faults import make_fault
from localcluster.apiserver.middlewares import CONTROL_PATH, USER
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from aiohttp import web

    from localcluster.apiserver.authorization import Authorizer
    from localcluster.apiserver.fault_injection import FaultInjection


class Control:
    """The handlers of the endpoint.

    Args:
        injection: whose rules it changes.
        authorizer: whose record it shows.
    """

    def __init__(self, injection: FaultInjection, authorizer: Authorizer) -> None:
        self._injection = injection
        self._authorizer = authorizer

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the endpoint."""
        faults, requests = f"{CONTROL_PATH}/faults", f"{CONTROL_PATH}/requests"
        router.add_get(faults, self._list_faults)
        router.add_post(faults, self._add_fault)
        router.add_delete(faults, self._remove_faults)
        router.add_delete(f"{faults}/{{number:[0-9]+}}", self._remove_fault)
        router.add_get(requests, self._list_requests)
        router.add_delete(requests, self._forget_requests)

    async def _list_faults(self, request: web.Request) -> web.Response:
        _require_master(request)
        rules = [fault.described() for fault in self._injection.faults.rules]
        return responses.json_object({"faults": rules})

    async def _add_fault(self, request: web.Request) -> web.Response:
        _require_master(request)
        try:
            given = msgspec.json.decode(await request.read(), type=dict)
            rule = make_fault(given, "fault")
        except msgspec.DecodeError as error:
            raise errors.bad_request(f"the body is not a JSON object: {error}") from error
        except InvalidInput as error:
            raise errors.bad_request(error.message) from error
        return responses.json_object(self._injection.add(rule).described(), 201)

    async def _remove_faults(self, request: web.Request) -> web.Response:
        _require_master(request)
        for fault in tuple(self._injection.faults.rules):
            self._injection.remove(fault.number)
        return responses.json_object({"faults": []})

    async def _remove_fault(self, request: web.Request) -> web.Response:
        _require_master(request)
        if not self._injection.remove(int(request.match_info["number"])):
            raise errors.not_found("", "faults", request.match_info["number"])
        return await self._list_faults(request)

    async def _list_requests(self, request: web.Request) -> web.Response:
        _require_master(request)
        return responses.json_object({"users": self._authorizer.asked()})

    async def _forget_requests(self, request: web.Request) -> web.Response:
        _require_master(request)
        self._authorizer.forget()
        return responses.json_object({"users": {}})


def _require_master(request: web.Request) -> None:
    if not is_master(request[USER]):
        raise errors.ApiError(
            403, "Forbidden", "forbidden: only members of system:masters use the control endpoint"
        )
