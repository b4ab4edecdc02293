"""What the environment of the process does to requests: a .netrc nothing, proxies once."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aggregator.kube.client import open_kube_client
from aggregator.kube.resources import PODS, ObjectKey
from tests.support.kube_server import kubeconfig, serve

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

KEY = ObjectKey("games", "a")


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"url": request.raw_path, "token": request.headers["Authorization"]})


async def test_an_entry_of_a_netrc_for_the_host_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with serve(tmp_path, echo) as client:
        answer = await client.get(PODS, KEY)
    assert answer == {"url": "/api/v1/namespaces/games/pods/a", "token": "Bearer secret"}


@pytest.mark.parametrize(
    ("bypass", "through_proxy"), [("", True), ("api.invalid", False)], ids=["proxy", "no proxy"]
)
async def test_the_proxy_of_the_environment_is_used_unless_it_excepts_the_host(
    bypass: str, through_proxy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    async with TestServer(app) as proxy:
        monkeypatch.setenv("http_proxy", str(proxy.make_url("/")))
        monkeypatch.setenv("no_proxy", bypass)
        async with open_kube_client(kubeconfig(tmp_path, "http://api.invalid:1")) as client:
            if through_proxy:
                answer = await client.get(PODS, KEY)
                url = "http://api.invalid:1/api/v1/namespaces/games/pods/a"
                assert answer == {"url": url, "token": "Bearer secret"}
            else:
                assert client._api.configuration.proxy is None
