-- The tables that players, services and other programs share. A character is one 64-bit integer everywhere.
--
-- Identifiers that the database gives start at 1,000,000,000: rows that were made by hand or imported bring their own ids,
-- and the sequences must never run into them.

CREATE TABLE accounts (
	id            bigserial PRIMARY KEY,
	login         text UNIQUE,
	password_hash text,
	telegram_id   bigint UNIQUE,
	created_at    timestamptz NOT NULL DEFAULT now()
);
ALTER SEQUENCE accounts_id_seq RESTART 1000000000;
COMMENT ON TABLE accounts IS 'Those who log in: by login and password, by Telegram, or both.';
COMMENT ON COLUMN accounts.password_hash IS 'Argon2id, in libsodium''s text form; null for an account that logs in by Telegram only.';

CREATE TABLE characters (
	id                     bigserial PRIMARY KEY,
	account_id             bigint REFERENCES accounts ON DELETE SET NULL,
	name                   text NOT NULL DEFAULT '',
	gender                 text NOT NULL DEFAULT 'other',
	game_stage             text NOT NULL DEFAULT 'idle',
	location_id            text,
	prev_location_id       text,
	xp                     bigint NOT NULL DEFAULT 0,
	gold                   bigint NOT NULL DEFAULT 0,
	vitals                 jsonb NOT NULL DEFAULT '{"hp": {"cur": 100, "max": 100}, "energy": {"cur": 100, "max": 100}}',
	last_combat_session_id uuid,
	last_combat_at         timestamptz,
	created_at             timestamptz NOT NULL DEFAULT now(),
	updated_at             timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER SEQUENCE characters_id_seq RESTART 1000000000;
CREATE INDEX characters_account_id_idx ON characters (account_id);
COMMENT ON TABLE characters IS 'xp and gold belong to the database; vitals, state and location belong to the cache while it is live. '
	'The room left in each page keeps updates of indexless columns off the indexes.';
COMMENT ON COLUMN characters.game_stage IS 'The state of the character: idle, combat, inventory, scenario.';
COMMENT ON COLUMN characters.last_combat_at IS 'End of the fight last_combat_session_id names: a fight before it, by (end, session id), no longer sets vitals.';

CREATE TABLE character_stats (
	character_id bigint PRIMARY KEY REFERENCES characters ON DELETE CASCADE,
	stats        jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 90);
COMMENT ON TABLE character_stats IS 'Strength, agility and the like, as the game engine keeps them.';

CREATE TABLE item_templates (
	id             text PRIMARY KEY,
	name           text NOT NULL DEFAULT '',
	name_en        text,
	kind           text NOT NULL DEFAULT 'misc',
	slot           text,
	gear_score     int NOT NULL DEFAULT 0,
	max_durability int,
	stackable      bool NOT NULL DEFAULT true
);
COMMENT ON TABLE item_templates IS 'What kinds of items there are. name is what the player reads; name_en where it is known.';
COMMENT ON COLUMN item_templates.slot IS 'Where it is worn; null for what is not.';

CREATE TABLE inventory (
	id               bigserial PRIMARY KEY,
	character_id     bigint NOT NULL REFERENCES characters ON DELETE CASCADE,
	item_template_id text NOT NULL,
	quantity         int NOT NULL DEFAULT 1,
	is_equipped      bool NOT NULL DEFAULT false,
	slot             text,
	durability       int
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER SEQUENCE inventory_id_seq RESTART 1000000000;
CREATE INDEX inventory_character_id_item_template_id_idx ON inventory (character_id, item_template_id);
COMMENT ON TABLE inventory IS 'Items of characters. item_template_id may name a template that is not there yet, hence no foreign key. '
	'A quantity below 1 exists only inside a settlement''s transaction.';
COMMENT ON COLUMN inventory.slot IS 'Where it is worn: weapon, head, body, …, belt_1, belt_2; null for what is carried.';

CREATE TABLE combat_history (
	session_id        uuid PRIMARY KEY,
	participant_ids   bigint[] NOT NULL,
	finished_at       timestamptz NOT NULL DEFAULT now(),
	settlement_status varchar(20) NOT NULL DEFAULT 'pending'
		CHECK (settlement_status IN ('pending', 'processed', 'failed')),
	result_payload    jsonb NOT NULL,
	doc_hash          bytea,
	shortfalls        jsonb,
	failure           text,
	created_at        timestamptz NOT NULL DEFAULT now(),
	settled_at        timestamptz
);
-- The default pending list stalls an insert for hundreds of milliseconds when it is flushed; 64 kB keeps that to tens.
CREATE INDEX combat_history_participant_ids_idx ON combat_history USING gin (participant_ids)
	WITH (gin_pending_list_limit = 64);
CREATE INDEX combat_history_unsettled_idx ON combat_history (created_at) WHERE settlement_status <> 'processed';
COMMENT ON TABLE combat_history IS 'Every fight by its session, settled once for ever. pending: a transient failure keeps it; failed: see failure.';
COMMENT ON COLUMN combat_history.finished_at IS 'The document''s end_timestamp.';
COMMENT ON COLUMN combat_history.doc_hash IS 'BLAKE2b-256 of the document''s canonical JSON: another document for the same session is refused.';
COMMENT ON COLUMN combat_history.shortfalls IS 'What was to be consumed and was not there: [{"char_id", "inventory_id", "item_template_id", "missing"}].';
COMMENT ON COLUMN combat_history.failure IS 'Why settlement_status is failed.';

CREATE TABLE auto_sessions (
	player_id       bigint PRIMARY KEY REFERENCES characters ON DELETE CASCADE,
	active_category text NOT NULL DEFAULT 'general'
		CHECK (active_category IN ('exploration', 'crafting', 'trade', 'general')),
	started_at      timestamptz NOT NULL DEFAULT now(),
	last_tick_at    timestamptz NOT NULL DEFAULT now(),
	next_tick_at    timestamptz NOT NULL DEFAULT now(),
	ticks           bigint NOT NULL DEFAULT 0,
	total_xp        bigint NOT NULL DEFAULT 0,
	total_gold      bigint NOT NULL DEFAULT 0,
	total_items     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX auto_sessions_next_tick_at_player_id_idx ON auto_sessions (next_tick_at, player_id);
COMMENT ON TABLE auto_sessions IS 'Active auto-sessions. next_tick_at is both the schedule and the fence: a due time is credited by the one '
	'statement that moves it, so it changes at every tick, and vacuum must keep up without pauses.';

CREATE TABLE auto_session_ends (
	player_id bigint PRIMARY KEY REFERENCES characters ON DELETE CASCADE,
	ended_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auto_session_ends IS 'When a character''s last auto-session ended: a start that is older, and only now retried, does nothing.';

CREATE TABLE tick_rules (
	id       bigserial PRIMARY KEY,
	category text NOT NULL,
	name     text NOT NULL DEFAULT '',
	weight   int NOT NULL DEFAULT 1 CHECK (weight >= 0),
	xp_min   bigint NOT NULL DEFAULT 0,
	xp_max   bigint NOT NULL DEFAULT 0,
	gold_min bigint NOT NULL DEFAULT 0,
	gold_max bigint NOT NULL DEFAULT 0,
	energy   int NOT NULL DEFAULT 0,
	loot     jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(loot) = 'array'),
	CHECK (xp_min <= xp_max),
	CHECK (gold_min <= gold_max)
);
CREATE INDEX tick_rules_category_idx ON tick_rules (category, id);
COMMENT ON TABLE tick_rules IS 'What a tick gives. One rule of the category is drawn by weight; xp and gold are drawn between their bounds; '
	'energy is added and kept within 0..max; one entry of loot is drawn by weight.';
COMMENT ON COLUMN tick_rules.loot IS '[{"item_template_id": text or null for nothing, "weight": int, "min": int, "max": int}].';

CREATE TABLE session_snapshots (
	kind         text NOT NULL,
	session_id   uuid NOT NULL,
	character_id bigint NOT NULL REFERENCES characters ON DELETE CASCADE,
	storage      text NOT NULL DEFAULT 'string' CHECK (storage IN ('string', 'hash')),
	payload      json,
	saved_at     timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (kind, session_id, character_id)
) WITH (fillfactor = 80);
CREATE INDEX session_snapshots_character_id_idx ON session_snapshots (character_id, kind);
COMMENT ON TABLE session_snapshots IS 'The last saved copy of a live session (combat, inventory, scenario), once for each character in it.';
COMMENT ON COLUMN session_snapshots.storage IS 'What the live key is in Redis: a string, or a hash whose fields are payload''s members.';
COMMENT ON COLUMN session_snapshots.payload IS 'json, not jsonb: the text comes back as it was.';
