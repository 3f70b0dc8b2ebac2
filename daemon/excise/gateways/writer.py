"""From settings to records that get written: what the tap and the callback share."""

from __future__ import annotations

import os

from excise.errors import ConfigError
from excise.gateways.courier import Courier
from excise.gateways.guard import Complaints
from excise.gateways.keyed import Keyed
from excise.gateways.outlet import FileOutlet, Outlet, SocketOutlet
from excise.gateways.settings import KEY_FILE, TapSettings, read_settings


class Writer:
    """Settings, key and courier."""

    def __init__(self, settings: TapSettings, complaints: Complaints) -> None:
        self.settings, self.complaints = settings, complaints
        self.keyed = load_key(settings, complaints)
        outlet: Outlet = (SocketOutlet if settings.socket else FileOutlet)(settings.path)
        self.courier = Courier(outlet, complaints)


def make_writer(settings: TapSettings | None, complaints: Complaints) -> Writer | None:
    """Return what writes; None, with a complaint, where the environment makes no sense.

    A model server shall come up all the same.
    """
    try:
        return Writer(settings or read_settings(os.environ), complaints)
    except ConfigError as error:
        complaints.add(f"nothing is recorded: {error}")
        return None


def load_key(settings: TapSettings, complaints: Complaints) -> Keyed | None:
    """Return the key; None, with a complaint, where there is none."""
    if settings.key_file is None:
        complaints.add(f"{KEY_FILE} is not set: records have no accounts and no prompt hashes")
        return None
    try:
        return Keyed.load(settings.key_file)
    except ConfigError as error:
        complaints.add(f"records have no accounts and no prompt hashes: {error}")
        return None
