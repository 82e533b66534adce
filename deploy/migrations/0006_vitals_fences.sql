-- hp and energy are each set by the newest fight that mentions them, whatever order fights are settled in.

ALTER TABLE characters
	ADD COLUMN hp_set_at     timestamptz,
	ADD COLUMN hp_set_by     uuid,
	ADD COLUMN energy_set_at timestamptz,
	ADD COLUMN energy_set_by uuid;
COMMENT ON COLUMN characters.hp_set_at IS 'End of the fight hp_set_by names: a fight before it, by (end, session id), no longer sets hp.';
COMMENT ON COLUMN characters.energy_set_at IS 'The same for energy.';
