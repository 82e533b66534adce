"""garrisonctl migrate: safe to run twice and from several places, and the columns the contract names."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from lib.stack import ROOT, Stack

NUMBERS = len(list((ROOT / "deploy/migrations").glob("[0-9]*.sql")))


@pytest.fixture
def empty(servers, build):
    """An empty database of this test alone."""
    stack = Stack(servers, build)
    with stack._admin_database() as cursor:
        cursor.execute(f"CREATE DATABASE {stack.name}")
    yield stack
    with stack._admin_database() as cursor:
        cursor.execute(f"DROP DATABASE {stack.name} WITH (FORCE)")


def rows(stack, statement):
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_it_applies_all_once(empty):
    first = json.loads(empty.ctl("migrate", "--json").stdout)
    assert len(first["applied"]) == NUMBERS == first["version"]
    assert json.loads(empty.ctl("migrate", "--json").stdout) == {"applied": [], "version": NUMBERS}
    assert [n for (n,) in rows(empty, "SELECT number FROM schema_migrations ORDER BY 1")] == list(range(1, NUMBERS + 1))


def test_a_dry_run_changes_nothing(empty):
    assert len(json.loads(empty.ctl("migrate", "--dry-run", "--json").stdout)["missing"]) == NUMBERS
    assert rows(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_several_at_once(empty):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: json.loads(empty.ctl("migrate", "--json").stdout)["applied"], range(8)))
    assert sorted(len(r) for r in results) == [0] * 7 + [NUMBERS]


@pytest.mark.parametrize("words", [["status"], ["audit"], ["restore", "--all"], ["keys", "list"]])
def test_what_needs_the_tables_names_the_command_that_makes_them(empty, stack, words):
    on_empty = {"AMQP_URL": stack.amqp_url, "DATABASE_URL": empty.database_url}
    told = stack.ctl(*words, check=False, **on_empty)
    assert told.returncode == 69 and 'run "garrisonctl migrate" first' in told.stderr, told
    assert len(told.stderr.splitlines()) == 1
    stack.ctl("migrate", **on_empty)
    rows(empty, "DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations) RETURNING 1")
    told = stack.ctl(*words, check=False, **on_empty)
    assert told.returncode == 69 and 'run "garrisonctl migrate" first' in told.stderr, told


def test_the_checksum_is_the_files_sha256(empty):
    empty.ctl("migrate")
    for name, checksum in rows(empty, "SELECT name, checksum FROM schema_migrations"):
        told = subprocess.run(["sha256sum", ROOT / f"deploy/migrations/{name}.sql"], capture_output=True, text=True)
        assert told.stdout.split()[0] == checksum


def test_a_changed_migration_is_refused_in_words(empty):
    empty.ctl("migrate")
    connection = empty.database()
    connection.cursor().execute(
        "UPDATE schema_migrations SET checksum = 'other' WHERE number = 1; DELETE FROM schema_migrations WHERE number = 2"
    )
    refused = empty.ctl("migrate", check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "0001_game has been changed" in refused.stderr
    assert rows(empty, "SELECT count(*) FROM schema_migrations WHERE number = 2") == [(0,)]
    connection.close()


def test_a_failing_migration_leaves_nothing_behind(empty):
    rows_before = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    connection = empty.database()
    connection.cursor().execute("CREATE TABLE inventory (other int)")
    failed = empty.ctl("migrate", check=False)
    assert failed.returncode == 1 or failed.returncode == 70
    assert "0001_game" in failed.stderr and "inventory" in failed.stderr
    assert rows(empty, rows_before) == [(2,)]  # that one and schema_migrations
    connection.cursor().execute("DROP TABLE inventory")
    empty.ctl("migrate")
    connection.close()


MINIMAL = [
    "INSERT INTO accounts DEFAULT VALUES",
    "INSERT INTO characters (id) VALUES (101)",
    "INSERT INTO character_stats (character_id) VALUES (101)",
    "INSERT INTO item_templates (id) VALUES ('wolf_pelt')",
    "INSERT INTO inventory (character_id, item_template_id) VALUES (101, 'no_such_template')",
    "INSERT INTO combat_history (session_id, participant_ids, result_payload)"
    " VALUES ('0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11', '{101,102}', '{}')",
    "INSERT INTO auto_sessions (player_id) VALUES (101)",
    "INSERT INTO session_snapshots (kind, session_id, character_id, payload)"
    " VALUES ('combat', '0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11', 101, '{}')",
]


def test_rows_need_no_more_than_their_keys(sql):
    for statement in MINIMAL:
        sql(statement)
    vitals, stage, xp, gold = sql("SELECT vitals, game_stage, xp, gold FROM characters WHERE id = 101")[0]
    assert vitals == {"hp": {"cur": 100, "max": 100}, "energy": {"cur": 100, "max": 100}}
    assert (stage, xp, gold) == ("idle", 0, 0)
    assert sql("SELECT stackable, gear_score FROM item_templates WHERE id = 'wolf_pelt'") == [(True, 0)]


def test_ids_that_are_given_never_meet_rows_that_brought_theirs(sql):
    sql("INSERT INTO characters (id) SELECT * FROM generate_series(1, 100)")
    sql("INSERT INTO characters (name) SELECT 'someone' FROM generate_series(1, 200)")
    sql("DELETE FROM characters")


def test_a_settlement_status_is_one_of_three(sql):
    with pytest.raises(psycopg2.errors.CheckViolation):
        sql(
            "INSERT INTO combat_history (session_id, participant_ids, result_payload, settlement_status)"
            " VALUES (gen_random_uuid(), '{}', '{}', 'other')"
        )


def test_the_indexes_that_the_services_lean_on(sql):
    definitions = "\n".join(d for (d,) in sql("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"))
    assert "ON public.auto_sessions USING btree (next_tick_at, player_id)" in definitions
    assert "USING gin (participant_ids) WITH (gin_pending_list_limit='64')" in definitions
    assert "ON public.inventory USING btree (character_id, item_template_id)" in definitions


def test_the_default_rules_name_items_that_exist(sql):
    categories = {c for (c,) in sql("SELECT DISTINCT category FROM tick_rules")}
    assert categories == {"exploration", "crafting", "trade", "general"}
    unknown = sql(
        "SELECT entry FROM tick_rules, jsonb_array_elements(loot) entry WHERE entry->>'item_template_id' IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM item_templates WHERE id = entry->>'item_template_id')"
    )
    assert unknown == []
    assert sql("SELECT count(*) > 24 FROM item_templates") == [(True,)]
