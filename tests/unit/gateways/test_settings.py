"""The environment as settings."""

from pathlib import Path

import pytest

from excise.errors import ConfigError
from excise.gateways.settings import read_settings


@pytest.mark.parametrize(
    ("text", "path", "is_socket"),
    [
        ("/var/log/x.log", "/var/log/x.log", False),
        ("file:/var/log/x.log", "/var/log/x.log", False),
        ("unix:/run/excise/records.sock", "/run/excise/records.sock", True),
    ],
)
def test_records_go_to_a_file_or_a_socket(text, path, is_socket):
    settings = read_settings({"EXCISE_RECORDS": text})
    assert (Path(path), is_socket) == (settings.path, settings.socket)


def test_this_host_is_believed_without_being_asked():
    settings = read_settings({"EXCISE_RECORDS": "/x", "EXCISE_TRUSTED_PROXIES": "192.0.2.0/24"})
    assert ["127.0.0.0/8", "::1/128", "192.0.2.0/24"] == [str(n) for n in settings.trusted]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"FORWARDED_ALLOW_IPS": "127.0.0.1,::1"}, True),
        ({"FORWARDED_ALLOW_IPS": "*"}, False),
        ({"FORWARDED_ALLOW_IPS": "192.0.2.1"}, False),
        ({"EXCISE_TRUSTED_PROXIES": "192.0.2.1"}, False),
    ],
)
def test_whether_only_this_host_is_believed(more, expected):
    assert expected == read_settings({"EXCISE_RECORDS": "/x"} | more).only_local


@pytest.mark.parametrize(
    ("environ", "match"),
    [
        ({}, "EXCISE_RECORDS='' names no absolute path"),
        ({"EXCISE_RECORDS": "relative.log"}, "absolute path"),
        ({"EXCISE_RECORDS": "/x", "EXCISE_TRUSTED_PROXIES": "all"}, "write networks as"),
        ({"EXCISE_RECORDS": "/x", "EXCISE_MAX_BODY_BYTES": "1M"}, "no number of bytes"),
        ({"EXCISE_RECORDS": "/x", "EXCISE_MAX_BODY_BYTES": "99999999999"}, "no number of bytes"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(environ, match):
    with pytest.raises(ConfigError, match=match):
        read_settings(environ)
