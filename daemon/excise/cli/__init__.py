"""The command line (contract 4): one file per verb. Thin: it asks the daemon and prints."""
