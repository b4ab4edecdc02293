"""HTTP handlers of the resource paths: they read the request, call a verb and write the answer.

Semantics are in verbs.py, watch.py, streams.py; here is only what HTTP adds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from localcluster.apiserver import deletion, errors, lists, protobuf, responses, scale
from localcluster.apiserver.applying import apply
from localcluster.apiserver.disruption import eviction_options
from localcluster.apiserver.fault_injection import STALE
from localcluster.apiserver.middlewares import ATTRIBUTES, USER
from localcluster.apiserver.objects import Object, fresh
from localcluster.apiserver.patch import apply_patch
from localcluster.apiserver.requests import (
    Target,
    is_true,
    parse_dry_run,
    parse_field_manager,
    parse_field_validation,
    parse_list_options,
    parse_target,
)
from localcluster.apiserver.server_side_apply import APPLY_PATCH
from localcluster.apiserver.tables import table
from localcluster.apiserver.verbs import Verbs
from localcluster.apiserver.watch import Format, Watch
from localcluster.apiserver.write_rules import WriteOptions
from shared.clock import utc_now

if TYPE_CHECKING:
    from localcluster.apiserver.requests import ListOptions
    from localcluster.apiserver.state import ApiServer
    from localcluster.apiserver.streams import Streams

_CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
# aiohttp calls a body without a content type an octet-stream.
_READABLE = ("application/octet-stream", "application/json")
# These answer their deletion with their last state, all others with a Status. Source: the delete
# operations of https://kubernetes.io/docs/reference/kubernetes-api/
_RETURNED_WHEN_DELETED = frozenset(
    ("", plural)
    for plural in (
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
    )
)
# What a status endpoint does; a status is neither created nor deleted on its own.
_STATUS_METHODS = ("GET", "PUT", "PATCH")


class Handlers:
    """The resource paths of one server.

    Args:
        server: what they act on.
        streams: logs and exec.
    """

    def __init__(self, server: ApiServer, streams: Streams) -> None:
        self._server = server
        self._streams = streams

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Answer any request below /api/VERSION and /apis/GROUP/VERSION."""
        parts = [part for part in request.path.split("/") if part]
        target = parse_target(self._server.registry, parts)
        responses.check_acceptable(request)
        special = {
            "scale": self._scale,
            "binding": self._bind,
            "eviction": self._evict,
            "token": self._token,
            "log": self._streams.logs,
            "exec": self._streams.execute,
        }
        if target.subresource in special:
            return await special[target.subresource](request, target)
        handler = {
            "GET": self._read,
            "POST": self._create,
            "PUT": self._replace,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }.get(request.method)
        if handler is None or (
            target.subresource == "status" and request.method not in _STATUS_METHODS
        ):
            raise errors.method_not_allowed()
        return await handler(request, target)

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        _require(target, "get" if target.name else "list")
        if not target.name or is_true(request.query, "watch"):
            options = parse_list_options(target, request.query)
            if options.watch:
                return await self._watch(request, target, options)
            return await self._list(request, target, options)
        lists.check_not_future(
            self._server.verbs.store, parse_list_options(target, request.query).version
        )
        past = request.get(STALE)
        verbs = self._server.verbs if past is None else Verbs(past, utc_now)
        stored = verbs.get(target.resource, (target.namespace, target.name))
        return responses.one(request, target.resource, stored)

    async def _list(
        self, request: web.Request, target: Target, options: ListOptions
    ) -> web.StreamResponse:
        store = request.get(STALE, self._server.verbs.store)
        page = lists.list_page(store, target.resource, options)
        include = responses.table_format(request)
        if include is None:
            if len(page.items) <= lists.PIECE_ITEMS:
                return responses.json_bytes(lists.encode_list(target.resource, page))
            pieces = lists.encoded_pieces(target.resource, page)
            return await responses.streamed(request, pieces)
        objects = [stored.presented(target.resource.api_version) for stored in page.items]
        rows = table(target.resource.printer, objects, page.metadata, include, utc_now())
        return responses.json_object(rows)

    async def _watch(
        self, request: web.Request, target: Target, options: ListOptions
    ) -> web.StreamResponse:
        form = Format(responses.table_format(request), utc_now)
        user, attributes = request[USER].name, request[ATTRIBUTES]
        injection = self._server.injection
        watch = Watch(
            self._server.verbs.store,
            target.resource,
            options,
            form,
            lambda: injection.holds(user, attributes),
        )
        response = web.StreamResponse(headers={"Content-Type": responses.JSON})
        self._server.watches.add(watch)
        try:
            await response.prepare(request)
            async for chunk in watch.chunks():
                await response.write(chunk)
            await response.write_eof()
        except ConnectionResetError:
            # The client went away; there is nobody left to tell.
            return response
        finally:
            self._server.watches.discard(watch)
        return response

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        _require(target, "create")
        if target.name:
            raise errors.method_not_allowed()
        body = await _body(request)
        if "get" not in target.resource.verbs:
            review = self._server.reviews.answer(target, body, request[USER])
            return responses.json_object(review, 201)
        written = self._server.verbs.create(
            target.resource, target.namespace, body, _write_options(request)
        )
        return responses.one(request, target.resource, written.stored, 201, written.warnings)

    async def _replace(self, request: web.Request, target: Target) -> web.StreamResponse:
        _require(target, "update", named=True)
        written = self._server.verbs.replace(
            target.resource,
            (target.namespace, target.name),
            await _body(request),
            _write_options(request),
            target.subresource,
        )
        return responses.one(request, target.resource, written.stored, 200, written.warnings)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        _require(target, "patch", named=True)
        verbs, resource, key = self._server.verbs, target.resource, (target.namespace, target.name)
        body, options = await request.read(), _write_options(request)
        force = is_true(request.query, "force")
        if request.content_type == APPLY_PATCH:
            manager = request.query.get("fieldManager", "")
            options = replace(options, manager=manager)
            written, made = apply(verbs, target, body, options, force=force)
            status = 201 if made else 200
        else:
            if force:
                raise _force_without_apply()
            patch = (request.content_type, body)
            written = verbs.patch(resource, key, patch, options, target.subresource)
            status = 200
        return responses.one(request, resource, written.stored, status, written.warnings)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await _body(request) if request.body_exists else {}
        options = deletion.parse_options(body, dict(request.query))
        verbs, resource = self._server.verbs, target.resource
        if not target.name:
            _require(target, "deletecollection")
            selection = parse_list_options(target, request.query)
            page = lists.list_page(verbs.store, resource, selection)
            for stored in page.items:
                metadata = stored.object["metadata"]
                verbs.delete(resource, (metadata.get("namespace", ""), metadata["name"]), options)
            return responses.json_bytes(lists.encode_list(resource, page))
        _require(target, "delete", named=True)
        stored, gone = verbs.delete(resource, (target.namespace, target.name), options)
        if not gone or resource.collection in _RETURNED_WHEN_DELETED:
            return responses.one(request, resource, stored)
        return responses.json_object(_deleted(target, stored.object))

    async def _scale(self, request: web.Request, target: Target) -> web.StreamResponse:
        resource, key = target.resource, (target.namespace, target.name)
        paths = resource.scale
        if paths is None:
            raise errors.no_such_path()
        stored = self._server.verbs.get(resource, key)
        current = scale.scale_of(paths, stored.object)
        if request.method == "GET":
            return responses.json_object(current)
        if request.method == "PUT":
            wanted = await _body(request)
        elif request.method == "PATCH":
            wanted = apply_patch(resource, current, request.content_type, await request.read())
        else:
            raise errors.method_not_allowed()
        # The body was awaited for: the object may be another one by now.
        latest = self._server.verbs.get(resource, key).presented(resource.api_version)
        obj = fresh(scale.scaled(resource, paths, latest, wanted))
        written = self._server.verbs.replace(resource, key, obj, _write_options(request))
        return responses.json_object(scale.scale_of(paths, written.stored.object))

    async def _bind(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method != "POST":
            raise errors.method_not_allowed()
        body = await _body(request)
        self._server.verbs.bind(target.resource, (target.namespace, target.name), body)
        return responses.json_object(_CREATED, 201)

    async def _evict(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method != "POST":
            raise errors.method_not_allowed()
        body = await _body(request)
        options = eviction_options(body, dry_run=parse_dry_run(request.query))
        self._server.disruptions.evict((target.namespace, target.name), body, options)
        return responses.json_object(_CREATED, 201)

    async def _token(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method != "POST":
            raise errors.method_not_allowed()
        body = await _body(request)
        account = self._server.verbs.get(target.resource, (target.namespace, target.name))
        return responses.json_object(self._server.authenticator.issue(account.object, body), 201)


def _require(target: Target, verb: str, *, named: bool = False) -> None:
    """Raise 405 when the resource does not have `verb`, or when the path lacks a name."""
    if verb not in target.resource.verbs or (named and not target.name):
        raise errors.method_not_allowed()


def _write_options(request: web.Request) -> WriteOptions:
    return WriteOptions(
        parse_dry_run(request.query),
        parse_field_validation(request.query),
        parse_field_manager(request.query, request.headers.get("User-Agent", "")),
    )


def _force_without_apply() -> errors.ApiError:
    why = "may not be specified for non-apply patch"
    return errors.invalid("meta.k8s.io", "PatchOptions", "", [errors.forbidden_field("force", why)])


async def _body(request: web.Request) -> Any:
    if request.content_type == protobuf.MEDIA_TYPE:
        return protobuf.decode(await request.read())
    if request.content_type not in _READABLE:
        raise errors.unsupported_media_type(request.content_type, _READABLE[1:])
    try:
        return msgspec.json.decode(await request.read() or b"{}")
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"the body of the request is not JSON: {error}") from error


def _deleted(target: Target, obj: Object) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": target.name,
            "group": target.resource.group,
            "kind": target.resource.plural,
            "uid": obj["metadata"]["uid"],
        },
    }
