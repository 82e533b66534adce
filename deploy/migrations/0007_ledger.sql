-- What proves that every fight and every tick is in its character once: xp and gold are what a character had before, what its
-- processed fights gave, and what its auto-sessions gave, those that have ended included.

ALTER TABLE auto_session_ends
	ADD COLUMN ticks       bigint NOT NULL DEFAULT 0,
	ADD COLUMN total_xp    bigint NOT NULL DEFAULT 0,
	ADD COLUMN total_gold  bigint NOT NULL DEFAULT 0,
	ADD COLUMN total_items bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN auto_session_ends.ticks IS 'Of all the character''s sessions that have ended, in sum; the totals likewise.';

CREATE TABLE opening_balances (
	character_id bigint PRIMARY KEY REFERENCES characters ON DELETE CASCADE,
	xp           bigint NOT NULL DEFAULT 0,
	gold         bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE opening_balances IS 'What a character has neither from fights nor from ticks. What it is made with is noted by itself; who gives '
	'or takes xp or gold by hand adds it here in the same transaction, or garrisonctl audit will name the character.';

CREATE FUNCTION note_opening_balance() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO opening_balances VALUES (NEW.id, NEW.xp, NEW.gold);
	RETURN NULL;
END $$;
CREATE TRIGGER note_opening_balance AFTER INSERT ON characters FOR EACH ROW WHEN (NEW.xp <> 0 OR NEW.gold <> 0)
	EXECUTE FUNCTION note_opening_balance();

-- Whatever nobody can account for any more is what characters begin with.
INSERT INTO opening_balances
SELECT c.id, c.xp - coalesce(f.xp, 0) - coalesce(s.total_xp, 0), c.gold - coalesce(f.gold, 0) - coalesce(s.total_gold, 0)
FROM characters c
LEFT JOIN auto_sessions s ON s.player_id = c.id
LEFT JOIN (
	SELECT p.key::bigint AS id, sum((p.value #>> '{changes,xp_gained}')::numeric) AS xp,
		sum((p.value #>> '{changes,gold_gained}')::numeric) AS gold
	FROM combat_history h CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(h.result_payload -> 'participants')
		WHEN 'object' THEN h.result_payload -> 'participants' ELSE '{}' END) p
	WHERE h.settlement_status = 'processed'
	GROUP BY 1) f ON f.id = c.id
WHERE (c.xp - coalesce(f.xp, 0) - coalesce(s.total_xp, 0), c.gold - coalesce(f.gold, 0) - coalesce(s.total_gold, 0)) <> (0, 0);
