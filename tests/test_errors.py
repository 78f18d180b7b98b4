from __future__ import annotations

import pickle
from threading import Lock

import pytest

from broadcaster import errors
from broadcaster.auth_requests import BadAuthRequest
from broadcaster.errors import (
    BroadcastError,
    ConfigurationError,
    DeliveryError,
    Forbidden,
    InvalidChannelName,
    InvalidSocketId,
    MissingExtra,
    ProtocolViolation,
    UnencodableData,
    named,
    note_progress,
    progress_of,
    suggestion,
)


def test_everything_raised_on_purpose_is_public_and_has_one_root() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]

    own = [cls for cls in classes if cls.__module__ == errors.__name__ and cls.__name__[0] != "_"]

    assert {cls.__name__ for cls in own} == set(errors.__all__) - {
        "named",
        "note_progress",
        "progress_of",
        "suggestion",
    }
    assert all(issubclass(cls, BroadcastError) for cls in own)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigurationError("x"), ValueError),
        (MissingExtra("redis", extra="redis"), ImportError),
        (InvalidChannelName("a b", "x"), ValueError),
        (UnencodableData("data", "x"), TypeError),
    ],
)
def test_an_error_can_be_caught_as_the_builtin_that_fits(
    error: BroadcastError, builtin: type[Exception]
) -> None:
    with pytest.raises(builtin):
        raise error


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtra("urllib3", extra="http")

    assert str(error) == "'urllib3' is not installed; install it with: pip install 'broadcaster-kit[http]'"
    assert (error.name, error.extra) == ("urllib3", "http")


def test_an_invalid_channel_name_carries_the_name() -> None:
    error = InvalidChannelName("a b", "' ' at position 1")

    assert str(error) == "invalid channel name 'a b': ' ' at position 1"
    assert error.channel == "a b"


def test_unencodable_data_carries_the_path() -> None:
    error = UnencodableData("Order.lines[2]", "object has no JSON form")

    assert str(error) == "cannot encode Order.lines[2] as JSON: object has no JSON form"
    assert error.path == "Order.lines[2]"


def test_a_delivery_error_carries_what_a_queue_has_to_know() -> None:
    error = DeliveryError("the server answered 503", driver="pusher", retryable=True, status=503)

    assert str(error) == "driver 'pusher': the server answered 503"
    assert (error.driver, error.retryable, error.status) == ("pusher", True, 503)


def test_a_delivery_is_not_worth_a_retry_unless_its_error_says_so() -> None:
    error = DeliveryError("it does not speak to us", driver="pusher")

    assert (error.retryable, error.status) == (False, None)


def test_a_protocol_violation_carries_the_code_for_the_client() -> None:
    error = ProtocolViolation(4009, "not authorized", channel="private-a")

    assert (error.code, error.message, error.channel, str(error)) == (
        *(4009, "not authorized", "private-a"),
        "not authorized",
    )


def test_names_are_listed_quoted_and_sorted() -> None:
    assert named({"b": 1, "a": 2}) == "'a', 'b'"
    assert named([]) == "none"


def test_the_nearest_name_is_suggested_and_nothing_far_away() -> None:
    assert suggestion("pushr", ["pusher", "redis"]) == ", did you mean 'pusher'?"
    assert suggestion("kafka", ["pusher", "redis"]) == ""


@pytest.mark.parametrize(
    "error",
    [
        DeliveryError("gone", driver="stack", retryable=True, status=503, failures={}),
        DeliveryError(
            "gone", driver="s", failures={"eu": DeliveryError("gone", driver="pusher", status=401)}
        ),
        MissingExtra("redis", extra="redis"),
        InvalidChannelName("a b", "it has a space"),
        InvalidSocketId("1"),
        Forbidden("nobody is signed in", channel="private-x"),
        BadAuthRequest("the body is not JSON", status=413),
        UnencodableData("Order.price", "no"),
        ConfigurationError("no driver"),
    ],
)
def test_an_error_survives_the_way_between_processes(error: BroadcastError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy)) == (type(error), str(error))
    assert repr(vars(copy)) == repr(vars(error))
    assert getattr(copy, "name", None) == getattr(error, "name", None)


@pytest.mark.parametrize("error", [DeliveryError("gone", driver="pusher"), ValueError("gone")])
def test_what_was_handed_over_stays_behind(error: Exception) -> None:
    messages, driver = [Lock()], Lock()
    note_progress(error, messages, 1, None, by=driver)

    copy = pickle.loads(pickle.dumps(error))

    assert progress_of(error, messages, by=driver) == (1, 1)
    assert progress_of(copy, messages, by=driver) == (0, 1)
    assert str(copy) == str(error)
