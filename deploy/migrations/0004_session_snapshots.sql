-- A live session is kept byte for byte, whatever it holds, with the time at which it ends by itself.

ALTER TABLE session_snapshots
	ALTER COLUMN payload TYPE bytea USING convert_to(payload::text, 'UTF8'),
	ADD COLUMN key_prefix text,
	ADD COLUMN expires_at timestamptz,
	ADD COLUMN read_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN session_snapshots.storage IS 'What the live key is in Redis, and so what payload holds.';
COMMENT ON COLUMN session_snapshots.payload IS 'Of a string: its bytes. Of a hash: field, value, field, value, …, each as its length '
	'(four bytes, most significant first) and its bytes.';
COMMENT ON COLUMN session_snapshots.key_prefix IS 'The live key without the session id; null: the first prefix of its kind.';
COMMENT ON COLUMN session_snapshots.expires_at IS 'When the live key would have expired; null: never.';
COMMENT ON COLUMN session_snapshots.read_at IS 'Redis''s time at the read: of the copies of one session, saved for several characters, '
	'the newest is restored. A character''s own copy is fenced by the lock on its row alone.';
