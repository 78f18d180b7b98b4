"""The leave to join a channel, signed for the server that a browser is connected to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broadcaster.channels import check_name
from broadcaster.drivers.signers import Signer
from broadcaster.errors import Forbidden
from broadcaster.rules import ChannelRules
from broadcaster.rules.calls import Steps
from broadcaster.signals import authorized, denied

__all__ = ["Authorization"]


class Authorization:
    """Asks *rules*, has the answer signed, and tells the signals; *sender* is whom they say it was.

    *signer* returns what signs. Each verb returns steps, to be taken by `run()` or `arun()`.
    """

    def __init__(self, rules: ChannelRules, signer: Callable[[], Signer], *, sender: object) -> None:
        self._rules = rules
        self._signer = signer
        self._sender = sender

    def join(self, user: object, channel: str, socket_id: str) -> Steps[Any]:
        """Return what lets one connection of *user* join *channel*, by its whole name.

        Raises `InvalidSocketId`, `InvalidChannelName`, `Forbidden`, or what a rule raises.
        """
        signer = self._signer()
        signer.check(socket_id)
        check_name(channel)
        try:
            answer = signer.channel(socket_id, (yield from self._rules.ask(user, channel)))
        except Forbidden as error:
            denied.send(self._sender, user=user, channel=channel, error=error)
            raise
        authorized.send(self._sender, user=user, channel=channel)
        return answer

    def sign_in(self, user: object, socket_id: str) -> Steps[Any]:
        """Return what signs one connection in as *user*; raises `InvalidSocketId` or `Forbidden`."""
        signer = self._signer()
        signer.check(socket_id)
        try:
            answer = signer.user(socket_id, (yield from self._rules.ask_sign_in(user)))
        except Forbidden as error:
            denied.send(self._sender, user=user, channel=None, error=error)
            raise
        authorized.send(self._sender, user=user, channel=None)
        return answer
