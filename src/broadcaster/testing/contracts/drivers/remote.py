"""What a driver does besides when its peer is on the other side of a network, or speaks HTTP."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable

import pytest

from broadcaster.drivers.base import Driver
from broadcaster.errors import DeliveryError
from broadcaster.testing.contracts.drivers.contract import DriverContract, numbered
from broadcaster.testing.contracts.drivers.peers import PATIENCE, HttpPeer, RemotePeer
from broadcaster.testing.contracts.drivers.verbs import Verb

__all__ = ["HttpDriverContract", "RemoteDriverContract"]


class RemoteDriverContract(DriverContract):
    """What a driver does besides, whose peer is on the other side of a network."""

    def test_a_peer_that_is_gone_is_an_error(
        self, peer: RemotePeer, make: Callable[..., Driver], verb: Verb
    ) -> None:
        driver = make(retries=0)
        peer.stop()

        one = _failure(lambda: verb.deliver(driver, *numbered(1)))
        several = _failure(lambda: verb.deliver_many(driver, numbered(3)))

        for error in (one, several):
            assert (error.driver, error.retryable, error.status) == (driver.name, True, None)
            assert not any(secret in f"{error!r} {error} {driver!r}" for secret in peer.secrets)

    def test_a_peer_that_comes_back_is_found(
        self, peer: RemotePeer, make: Callable[..., Driver], verb: Verb
    ) -> None:
        before, lost, after = numbered(3)
        driver = make(retries=0)
        peer.listen("lobby")
        verb.deliver(driver, before)
        self.check(peer, [before])

        peer.stop()
        _failure(lambda: verb.deliver(driver, lost))
        peer.start()
        verb.deliver(driver, after)

        self.check(peer, [before, after])

    def test_a_peer_that_restarted_in_between_costs_no_message(
        self, peer: RemotePeer, driver: Driver, verb: Verb
    ) -> None:
        before, after = numbered(2)
        peer.listen("lobby")
        verb.deliver(driver, before)
        self.check(peer, [before])

        peer.stop()
        peer.start()
        verb.deliver(driver, after)

        self.check(peer, [before, after])

    def test_a_peer_that_does_not_answer_is_an_error(
        self, peer: RemotePeer, make: Callable[..., Driver], verb: Verb
    ) -> None:
        driver = make(timeout=0.2, retries=0)
        peer.stall()
        began = time.monotonic()

        error = _failure(lambda: verb.deliver(driver, *numbered(1)))

        assert (error.driver, error.retryable, error.status) == (driver.name, True, None)
        assert 0.1 < time.monotonic() - began < PATIENCE / 2
        peer.resume()

    def test_a_delivery_that_is_cancelled_spoils_none_after_it(
        self, peer: RemotePeer, make: Callable[..., Driver]
    ) -> None:
        given_up, after = numbered(2)
        driver = make(timeout=PATIENCE)
        peer.listen("lobby")

        async def scenario() -> None:
            peer.stall()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(driver.adeliver(given_up), 0.2)
            peer.resume()
            await driver.adeliver(after)
            await driver.aclose()

        asyncio.run(scenario())

        # The first one may have been on its way already.
        arrived = [received.data for received in peer.received(1)]
        assert arrived[-1] == {"n": 1} or {"n": 1} in [received.data for received in peer.received(2)]

    def test_an_answer_that_makes_no_sense_is_an_error(
        self, peer: RemotePeer, make: Callable[..., Driver], verb: Verb
    ) -> None:
        driver = make(timeout=2.0, retries=0)
        peer.garble()

        one = _failure(lambda: verb.deliver(driver, *numbered(1)))
        several = _failure(lambda: verb.deliver_many(driver, numbered(3)))

        assert {one.driver, several.driver} == {driver.name}

    if hasattr(os, "fork"):
        # Part of the contract where processes can fork; elsewhere there is nothing to keep.

        def test_a_forked_child_has_connections_of_its_own(
            self, peer: RemotePeer, driver: Driver, verb: Verb
        ) -> None:
            before, inside, after = numbered(3)
            peer.listen("lobby")
            verb.deliver(driver, before)

            def child() -> None:
                verb.deliver_elsewhere(driver, inside)
                driver.close()

            with warnings.catch_warnings():
                # Python warns of every fork beside threads; the peer may well run in some.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = multiprocessing.get_context("fork").Process(target=child)
                process.start()
            process.join(PATIENCE)
            exit_code = process.exitcode
            process.kill()
            process.join()
            verb.deliver(driver, after)

            assert exit_code == 0
            self.check(peer, [before, inside, after])


class HttpDriverContract(RemoteDriverContract):
    """What a driver does besides that speaks HTTP."""

    @pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413, 422])
    def test_a_refusal_is_final(self, status: int, peer: HttpPeer, driver: Driver, verb: Verb) -> None:
        peer.answer(status, "because of the weather")

        error = _failure(lambda: verb.deliver(driver, *numbered(1)))

        assert (error.driver, error.retryable, error.status) == (driver.name, False, status)
        assert "because of the weather" in str(error)
        assert peer.asked() == 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_an_answer_of_trouble_may_be_tried_again_later(
        self, status: int, peer: HttpPeer, make: Callable[..., Driver], verb: Verb
    ) -> None:
        driver = make(retries=0)
        peer.answer(status)

        error = _failure(lambda: verb.deliver(driver, *numbered(1)))

        assert (error.driver, error.retryable, error.status) == (driver.name, True, status)

    def test_a_peer_that_asks_for_time_gets_it(
        self, peer: HttpPeer, make: Callable[..., Driver], verb: Verb
    ) -> None:
        message = numbered(1)[0]
        driver = make(retries=1)
        peer.listen("lobby")
        peer.answer(429, retry_after="1")
        began = time.monotonic()

        verb.deliver(driver, message)

        assert time.monotonic() - began >= 1
        self.check(peer, [message])
        assert peer.asked() == 2


def _failure(deliver: Callable[[], None]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        deliver()
    return caught.value
