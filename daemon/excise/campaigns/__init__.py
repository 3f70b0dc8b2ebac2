"""Campaigns: accounts that are driven as one, found by what they share and how they are used."""
