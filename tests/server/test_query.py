import pytest

from broadcaster.server.query import parse_query, read_params


def test_values_are_decoded_and_empty_ones_kept() -> None:
    assert parse_query("info=user_count%2Csubscription_count&empty=") == [
        ("info", "user_count,subscription_count"),
        ("empty", ""),
    ]


def test_more_parameters_than_any_client_sends_are_refused() -> None:
    assert len(parse_query("&".join(["a=1"] * 64))) == 64
    with pytest.raises(ValueError, match="fields"):
        parse_query("&".join(["a=1"] * 65))


def test_the_query_of_an_address_that_cannot_be_read_is_as_good_as_none() -> None:
    assert read_params("protocol=7&client=js") == {"protocol": "7", "client": "js"}
    assert read_params("&".join(["a=1"] * 65)) == {}
