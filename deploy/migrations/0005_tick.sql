-- What the tick service keeps beside the sessions themselves.

ALTER TABLE auto_sessions
	ADD COLUMN requested_at timestamptz,
	ADD COLUMN start_key    bigint,
	ADD CONSTRAINT auto_sessions_finite CHECK (isfinite(started_at) AND next_tick_at > '-infinity');
COMMENT ON COLUMN auto_sessions.requested_at IS 'When a start that was retried was first tried; null: started_at is that time.';
COMMENT ON COLUMN auto_sessions.start_key IS 'Hash of the start command''s message id; null when the sender gave none.';

ALTER TABLE auto_session_ends
	ADD COLUMN start_key bigint,
	ADD COLUMN end_key   bigint;
ALTER TABLE auto_session_ends SET (fillfactor = 80);
COMMENT ON TABLE auto_session_ends IS 'When a character''s auto-session was last ended, or last wished to end: a start first tried before that, '
	'and only now retried, does nothing.';
COMMENT ON COLUMN auto_session_ends.start_key IS 'The start_key of the session that ended: the same start, delivered again, does not begin another.';
COMMENT ON COLUMN auto_session_ends.end_key IS 'Hash of the delete command''s message id: the same delete, delivered again, does not end a later session.';

-- Sums of rewards must fit their columns, and a rule is no place for a debt.
ALTER TABLE tick_rules
	ADD CHECK (category IN ('exploration', 'crafting', 'trade', 'general')),
	ADD CHECK (xp_min >= 0 AND xp_max <= 1000000000000),
	ADD CHECK (gold_min >= 0 AND gold_max <= 1000000000000);

CREATE TABLE tick_events (
	seq        bigserial PRIMARY KEY,
	message_id uuid NOT NULL DEFAULT gen_random_uuid(),
	body       json NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE tick_events IS 'tick.completed events on their way to the broker: written with the ticks they tell of, deleted once confirmed.';
