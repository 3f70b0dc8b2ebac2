"""The whole story before one's eyes: a served model, honest clients, a harvester, and excise."""
