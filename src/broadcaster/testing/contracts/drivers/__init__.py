"""What every driver does, as tests to subclass: give `DriverContract` a fixture `peer` and pytest runs it.

A driver that reaches over a network keeps `RemoteDriverContract` besides, one that speaks HTTP also
`HttpDriverContract`.
"""

from broadcaster.testing.contracts.drivers.contract import DriverContract
from broadcaster.testing.contracts.drivers.peers import HttpPeer, Peer, Received, RemotePeer
from broadcaster.testing.contracts.drivers.remote import HttpDriverContract, RemoteDriverContract
from broadcaster.testing.contracts.drivers.verbs import Verb

__all__ = [
    "DriverContract",
    "HttpDriverContract",
    "HttpPeer",
    "Peer",
    "Received",
    "RemoteDriverContract",
    "RemotePeer",
    "Verb",
]
