"""The tick service's commands as a test says them, characters with sessions, and a ledger of every move of a session."""

from datetime import datetime, timedelta

CATEGORIES = ("exploration", "crafting", "trade", "general")

# One row for each move of a session, in the order in which they happened.
LEDGER = """
CREATE TABLE IF NOT EXISTS ledger (seq bigserial PRIMARY KEY, player_id bigint, due timestamptz, started timestamptz, last timestamptz, next timestamptz,
	ticks bigint, xp bigint, gold bigint, items bigint,
	at timestamptz DEFAULT clock_timestamp());
CREATE OR REPLACE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
	INSERT INTO ledger (player_id, due, started, last, next, ticks, xp, gold, items) VALUES (NEW.player_id, OLD.next_tick_at, OLD.started_at, NEW.last_tick_at, NEW.next_tick_at,
		NEW.ticks - OLD.ticks, NEW.total_xp - OLD.total_xp, NEW.total_gold - OLD.total_gold, NEW.total_items - OLD.total_items);
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_move AFTER UPDATE ON auto_sessions FOR EACH ROW
	WHEN (NEW.ticks <> OLD.ticks OR current_setting('test.by_hand', true) IS DISTINCT FROM 'yes') EXECUTE FUNCTION note_move();
"""


def time_of(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Tick:
    def __init__(self, stack, amqp):
        self.stack = stack
        self.amqp = amqp
        self.redis = stack.redis
        self.database = stack.database()
        self.sql("SET test.by_hand = 'yes'")

    def close(self):
        self.database.close()

    def sql(self, statement, *values):
        with self.database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    def value(self, statement, *values):
        return self.sql(statement, *values)[0][0]

    # Commands -------------------------------------------------------------------------------------------------------

    def start(self, player_id, category="general", **options):
        return self.amqp.call(
            "tick.start_auto_session", {"player_id": player_id, "active_category": category}, **options
        )

    def delete(self, player_id, **options):
        return self.amqp.call("tick.delete_auto_session", {"player_id": player_id}, **options)

    def status(self, player_id, **options):
        return self.amqp.call("tick.get_auto_session_status", {"player_id": player_id}, **options)

    def session(self, player_id):
        return self.status(player_id).result["session"]

    # Fixtures -------------------------------------------------------------------------------------------------------

    def character(self):
        return self.characters(1)[0]

    def characters(self, n):
        rows = self.sql("INSERT INTO characters (name) SELECT '' FROM generate_series(1, %s) RETURNING id", n)
        return [row[0] for row in rows]

    def rules(self, **values):
        """One rule for every category: rules(xp=10, gold=3, energy=-1, loot='[...]')."""
        values = {"xp": 10, "gold": 3, "energy": 0, "loot": "[]", **values}
        self.sql("DELETE FROM tick_rules")
        for category in CATEGORIES:
            self.sql(
                "INSERT INTO tick_rules (category, xp_min, xp_max, gold_min, gold_max, energy, loot)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                category, values["xp"], values["xp"], values["gold"], values["gold"], values["energy"], values["loot"],
            )  # fmt: skip

    def age(self, player_id, seconds):
        """As if all of the session had happened so much earlier."""
        self.sql(
            "UPDATE auto_sessions SET started_at = started_at - %s, last_tick_at = last_tick_at - %s,"
            " next_tick_at = next_tick_at - %s WHERE player_id = %s",
            *[timedelta(seconds=seconds)] * 3, player_id,
        )  # fmt: skip

    def put_session(self, player_id, interval_s, due_s, category="general"):
        """A session one interval old at its due time, which was due_s ago (or lies ahead), without asking the service."""
        self.sql("DELETE FROM auto_sessions WHERE player_id = %s", player_id)
        self.sql(
            "INSERT INTO auto_sessions (player_id, active_category, started_at, last_tick_at, next_tick_at)"
            " SELECT %s, %s, t - %s, t - %s, t FROM (SELECT date_trunc('milliseconds', now()) - %s AS t) x",
            player_id, category, *[timedelta(seconds=interval_s)] * 2, timedelta(seconds=due_s),
        )  # fmt: skip

    def row(self, player_id):
        """The session as the database has it: a dict, or None."""
        with self.database.cursor() as cursor:
            cursor.execute("SELECT * FROM auto_sessions WHERE player_id = %s", (player_id,))
            row = cursor.fetchone()
            return row and dict(zip([column.name for column in cursor.description], row))

    def purse(self, player_id):
        return self.sql("SELECT xp, gold FROM characters WHERE id = %s", player_id)[0]

    def items(self, player_id):
        return dict(
            self.sql(
                "SELECT item_template_id, sum(quantity)::int FROM inventory WHERE character_id = %s GROUP BY 1", player_id
            )
        )

    def energy(self, player_id):
        return self.value("SELECT (vitals #>> '{energy,cur}')::int FROM characters WHERE id = %s", player_id)

    # The ledger -----------------------------------------------------------------------------------------------------

    def keep_ledger(self):
        self.sql(LEDGER)

    def check_ledger(self, interval_s, catchup_max=10):
        """Each due time once and none left out, and what was given is what the characters have. Returns the moves."""
        moves = self.check_moves(interval_s, catchup_max)
        self.check_sums()
        return moves

    def check_moves(self, interval_s, catchup_max=10):
        """Each due time once and none left out. Returns the moves."""
        interval = timedelta(seconds=interval_s)
        rows = self.sql(
            "SELECT player_id, started, due, last, next, ticks FROM ledger ORDER BY player_id, started, seq"
        )
        before = None
        for player_id, started, due, last, following, ticks in rows:
            where = (player_id, started, due)
            passed = (last - due) / interval + 1
            assert passed == int(passed) >= 1, where
            assert ticks == min(passed, catchup_max), (where, ticks, passed)
            assert following == last + interval, where
            assert (following - started) % interval == timedelta(0), where
            if before and before[:2] == (player_id, started):
                assert due == before[4], f"{where} does not follow {before}"
            else:
                assert due == started + interval, where
            before = (player_id, started, due, last, following)
        return len(rows)

    def check_sums(self):
        wrong = self.sql(
            "SELECT c.id, c.xp, l.xp, c.gold, l.gold, i.items, l.items FROM characters c"
            " JOIN (SELECT player_id, sum(xp) AS xp, sum(gold) AS gold, sum(items) AS items FROM ledger GROUP BY 1) l"
            " ON l.player_id = c.id LEFT JOIN (SELECT character_id, sum(quantity) AS items FROM inventory GROUP BY 1) i"
            " ON i.character_id = c.id"
            " WHERE (c.xp, c.gold, coalesce(i.items, 0)) IS DISTINCT FROM (l.xp, l.gold, l.items)"
        )
        assert not wrong, f"characters and ledger differ (id, xp, ledger, gold, ledger, items, ledger): {wrong[:10]}"
        wrong = self.sql(
            "SELECT s.player_id, s.ticks, l.ticks, s.total_xp, l.xp FROM auto_sessions s JOIN (SELECT player_id, started,"
            " sum(ticks) AS ticks, sum(xp) AS xp, sum(gold) AS gold, sum(items) AS items FROM ledger GROUP BY 1, 2) l"
            " ON l.player_id = s.player_id AND l.started = s.started_at"
            " WHERE (s.ticks, s.total_xp, s.total_gold, s.total_items) IS DISTINCT FROM (l.ticks, l.xp, l.gold, l.items)"
        )
        assert not wrong, f"sessions and ledger differ: {wrong[:10]}"

    def overdue(self, seconds):
        """How many sessions have been due for longer than that."""
        return self.value(
            "SELECT count(*) FROM auto_sessions WHERE next_tick_at < now() - %s", timedelta(seconds=seconds)
        )
