"""Servers and reserve lists, as the decisions about scale see them."""

from aggregator.gameserverset.ids import IdSet, parse_reserve_list
from aggregator.gameserverset.server import Server


def server(id_: int, ops_state: str = "None", **fields) -> Server:
    return Server(id_, f"pod-{id_}", ops_state, **fields)


def servers(*ids: int) -> tuple[Server, ...]:
    return tuple(server(id_) for id_ in ids)


def reserved(*items: int | str) -> IdSet:
    return parse_reserve_list(items)[0]


NOTHING = reserved()
