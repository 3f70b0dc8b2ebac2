"""What a first configuration rests on."""

import pytest

from excise.config import Backend
from excise.doctor.discover import discover
from excise.doctor.examine import Sight
from excise.doctor.services import Places
from excise.errors import PrivilegeError, UnsupportedError


def refusing(error):
    def tables():
        raise error

    return tables


@pytest.mark.parametrize(
    ("tables", "legacy", "told"),
    [
        (list, "filter\n", (Backend.NFTABLES, "")),
        (refusing(UnsupportedError("no nf_tables")), "filter\n", (Backend.IPSET, "no nf_tables")),
        (refusing(UnsupportedError("no nf_tables")), "", (Backend.NFTABLES, "no nf_tables")),
        (refusing(PrivilegeError("no right")), "filter\n", (Backend.NFTABLES, "takes root")),
    ],
)
def test_ipset_is_taken_only_where_nftables_is_not_and_iptables_legacy_is(
    tmp_path, host, tables, legacy, told
):
    (tmp_path / "ip_tables_names").write_text(legacy)
    sight = Sight(tables, places=Places(proc_net=tmp_path), survey=host, ask_tls=lambda s: s)
    found = discover(sight, tmp_path)
    backend, why = told
    assert (backend, True, host()) == (found.backend, why in found.why_backend, found.survey)
