from excise.store.schema import MIGRATIONS, connect


def test_a_new_database_has_every_migration_and_writes_ahead(tmp_path):
    connection = connect(tmp_path / "new.db")

    assert (len(MIGRATIONS),) == connection.execute("PRAGMA user_version").fetchone()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_opening_again_changes_nothing(tmp_path):
    connect(tmp_path / "new.db").close()
    connection = connect(tmp_path / "new.db")

    assert (len(MIGRATIONS),) == connection.execute("PRAGMA user_version").fetchone()
    connection.close()


def test_every_table_is_strict(tmp_path):
    connection = connect(tmp_path / "new.db")

    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()

    assert [name for name, sql in rows if "STRICT" not in sql] == []
    connection.close()
