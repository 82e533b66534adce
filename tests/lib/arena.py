"""The arena's commands as a test says them, and characters to send there."""

from psycopg2.extras import execute_values


def request_of(reply):
    return reply.result["request"]


class Arena:
    def __init__(self, stack, amqp):
        self.stack = stack
        self.amqp = amqp
        self.redis = stack.redis
        self.database = stack.database()

    def close(self):
        self.database.close()

    # Characters -----------------------------------------------------------------------------------------------------

    def character(self, gear=0):
        return self.characters([gear])[0]

    def characters(self, gears):
        """New characters, each wearing one item of that gear score (0: nothing)."""
        with self.database.cursor() as cursor:
            cursor.execute("INSERT INTO characters (name) SELECT '' FROM generate_series(1, %s) RETURNING id", (len(gears),))
            ids = [row[0] for row in cursor.fetchall()]
            worn = [(id, gear) for id, gear in zip(ids, gears) if gear]
            execute_values(
                cursor,
                "INSERT INTO item_templates (id, gear_score) VALUES %s ON CONFLICT DO NOTHING",
                [(f"gear_{gear}", gear) for gear in {gear for _, gear in worn}] or [("gear_0", 0)],
            )
            if worn:
                execute_values(
                    cursor,
                    "INSERT INTO inventory (character_id, item_template_id, is_equipped, slot) VALUES %s",
                    [(id, f"gear_{gear}", True, "body") for id, gear in worn],
                    page_size=1000,
                )
        return ids

    def settle(self, session_id, participants, status="processed"):
        """The fight is in combat_history, as the settlement of it would leave it."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO combat_history (session_id, participant_ids, settlement_status, result_payload)"
                " VALUES (%s, %s, %s, '{}')",
                (session_id, list(participants), status),
            )

    # Commands -------------------------------------------------------------------------------------------------------

    def join(self, char_id, mode="1v1", **options):
        return self.amqp.call("arena.join_queue", {"char_id": char_id, "mode": mode}, **options)

    def leave(self, char_id, mode="1v1", **options):
        return self.amqp.call("arena.leave_queue", {"char_id": char_id, "mode": mode}, **options)

    def check(self, char_id, mode="1v1"):
        return self.amqp.call("arena.check_match", {"char_id": char_id, "mode": mode}).result

    def status(self, char_id):
        return self.amqp.call("arena.get_queue_status", {"char_id": char_id}).result

    def gear_score(self, char_id):
        return self.amqp.call("arena.get_gear_score", {"char_id": char_id}).result["gear_score"]

    # What Redis holds -----------------------------------------------------------------------------------------------

    def waiting(self, mode="1v1"):
        """{character: gear score} of the queue."""
        return {int(id): score for id, score in self.redis.zrange(f"arena:queue:{mode}", 0, -1, withscores=True)}

    def is_queued(self, char_id):
        modes = [key.split(":")[2] for key in self.redis.keys("arena:queue:*")]
        return self.redis.exists(f"arena:request:{char_id}") == 1 or any(char_id in self.waiting(mode) for mode in modes)


def fits(a, b, percent=15):
    return abs(a - b) * 100 <= percent * max(a, b)
