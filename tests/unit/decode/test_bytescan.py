from hypothesis import given
from hypothesis import strategies as st

from excise.decode.bytescan import count_byte, count_controls

CONTROL = set(range(32)) | {0x7F}


@given(st.binary(max_size=200), st.integers(0, 255))
def test_a_byte_is_counted_as_bytes_count_does(blob, byte):
    assert blob.count(bytes([byte])) == count_byte(blob, byte)


@given(st.binary(max_size=200))
def test_control_bytes_are_those_below_a_blank_and_delete(blob):
    assert sum(byte in CONTROL for byte in blob) == count_controls(blob)
