"""State over records: tables of entities, and the features that rules compare."""
