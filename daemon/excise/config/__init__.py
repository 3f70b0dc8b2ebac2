"""The configuration file (contract 3): values, how they are read, where the file is found."""

from excise.config.asns import with_asns
from excise.config.files import load, read_config, rule_directories, shipped_rules
from excise.config.parse import parse_config
from excise.config.values import (
    DEFAULT_PATH,
    ApiConfig,
    Backend,
    Config,
    InputConfig,
    JournalConfig,
    LogConfig,
    LogFormat,
    LogLevel,
    NftConfig,
    SocketConfig,
    Wire,
    decode_context,
)

__all__ = [
    "DEFAULT_PATH",
    "ApiConfig",
    "Backend",
    "Config",
    "InputConfig",
    "JournalConfig",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "NftConfig",
    "SocketConfig",
    "Wire",
    "decode_context",
    "load",
    "parse_config",
    "read_config",
    "rule_directories",
    "shipped_rules",
    "with_asns",
]
