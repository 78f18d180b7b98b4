from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import apply_mask

from broadcaster.server.masking import unmask, unmask_in_python


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_the_way_without_a_compiler_gives_the_same(data: bytes, key: bytes) -> None:
    assert unmask_in_python(data, key) == unmask(data, key) == apply_mask(data, key)
    assert unmask_in_python(bytearray(data), bytearray(key)) == unmask(bytearray(data), bytearray(key))


def test_a_mask_is_taken_off_byte_by_byte() -> None:
    assert unmask_in_python(b"\x01\x02\x03\x04\x05", b"\x01\x02\x03\x05") == b"\x00\x00\x00\x01\x04"
