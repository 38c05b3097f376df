import io
import zipfile

import pytest

from seqdis.datasets._archives import read_members
from seqdis.errors import DataError

# Where the local and the central header of a member hold its flags and its method (PKWARE, APPNOTE 4.3).
HEADERS = {b"PK\x03\x04": (6, 8), b"PK\x01\x02": (8, 10)}


def altered(field: int, value: int) -> bytes:
    """A zip archive of one member with its flags (0) or its method (1) replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", b"1,2,3")
    content = bytearray(buffer.getvalue())
    for signature, places in HEADERS.items():
        content[content.index(signature) + places[field]] = value
    return bytes(content)


@pytest.mark.parametrize(("field", "value", "said"), [(0, 1, "encrypted"), (1, 99, "compression")])
def test_archives_of_unsupported_kinds_are_named(tmp_path, field, value, said):
    (tmp_path / "a.zip").write_bytes(altered(field, value))
    with pytest.raises(DataError, match=rf"a\.zip cannot be unpacked \(.*{said}.*\).*and use the folder"):
        list(read_members(tmp_path / "a.zip", r".*\.csv"))


def test_the_archive_is_whole_where_nothing_is_altered(tmp_path):
    (tmp_path / "a.zip").write_bytes(altered(0, 0))
    assert list(read_members(tmp_path / "a.zip", r".*\.csv")) == [("a.csv", b"1,2,3")]
