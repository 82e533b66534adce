-- Made by "make deploy-files" from deploy/fleet.list and deploy/access/rights.list: change those.
--
--   psql DATABASE_URL -f deploy/access/postgresql.sql    as the owner of the database, after garrisonctl migrate
--
-- A role for each service, with just the tables it touches. Safe to run again: rights that are no longer listed are taken away.
BEGIN;
DO $$ BEGIN
EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-arena') THEN
CREATE ROLE "garrison-arena" LOGIN NOINHERIT;
END IF;
EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-arena"', current_database());
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-arena";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-arena";
GRANT USAGE ON SCHEMA public TO "garrison-arena";
GRANT SELECT ON schema_migrations TO "garrison-arena";
GRANT SELECT ON characters TO "garrison-arena";
GRANT SELECT ON inventory TO "garrison-arena";
GRANT SELECT ON item_templates TO "garrison-arena";
GRANT SELECT ON combat_history TO "garrison-arena";

DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-auth') THEN
CREATE ROLE "garrison-auth" LOGIN NOINHERIT;
END IF;
EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-auth"', current_database());
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-auth";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-auth";
GRANT USAGE ON SCHEMA public TO "garrison-auth";
GRANT SELECT ON schema_migrations TO "garrison-auth";
GRANT SELECT, INSERT, UPDATE (password_hash) ON accounts TO "garrison-auth";
GRANT USAGE ON SEQUENCE accounts_id_seq TO "garrison-auth";
GRANT SELECT, INSERT (account_id, name, gender) ON characters TO "garrison-auth";
GRANT USAGE ON SEQUENCE characters_id_seq TO "garrison-auth";
GRANT SELECT, INSERT ON character_stats TO "garrison-auth";
GRANT SELECT, INSERT, UPDATE, DELETE ON auth_logins TO "garrison-auth";
GRANT SELECT, INSERT, UPDATE, DELETE ON auth_refresh_tokens TO "garrison-auth";
GRANT SELECT, INSERT, UPDATE (retired_at), DELETE ON auth_signing_keys TO "garrison-auth";
GRANT SELECT, INSERT, DELETE ON auth_character_requests TO "garrison-auth";

DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-combat-settlement') THEN
CREATE ROLE "garrison-combat-settlement" LOGIN NOINHERIT;
END IF;
EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-combat-settlement"', current_database());
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-combat-settlement";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-combat-settlement";
GRANT USAGE ON SCHEMA public TO "garrison-combat-settlement";
GRANT SELECT ON schema_migrations TO "garrison-combat-settlement";
GRANT SELECT, UPDATE (xp, gold, vitals, game_stage, last_combat_session_id, last_combat_at, hp_set_at, hp_set_by, energy_set_at, energy_set_by, updated_at) ON characters TO "garrison-combat-settlement";
GRANT SELECT, INSERT, UPDATE ON combat_history TO "garrison-combat-settlement";
GRANT SELECT, INSERT, UPDATE (quantity, durability), DELETE ON inventory TO "garrison-combat-settlement";
GRANT USAGE ON SEQUENCE inventory_id_seq TO "garrison-combat-settlement";
GRANT SELECT, INSERT ON item_templates TO "garrison-combat-settlement";
GRANT SELECT, DELETE ON session_snapshots TO "garrison-combat-settlement";

DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-gateway') THEN
CREATE ROLE "garrison-gateway" LOGIN NOINHERIT;
END IF;
EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-gateway"', current_database());
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-gateway";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-gateway";
GRANT USAGE ON SCHEMA public TO "garrison-gateway";
GRANT SELECT ON schema_migrations TO "garrison-gateway";
GRANT SELECT (sid, revoked_at) ON auth_logins TO "garrison-gateway";
GRANT SELECT (kid, public_key, created_at, retired_at) ON auth_signing_keys TO "garrison-gateway";

DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-state-backup') THEN
CREATE ROLE "garrison-state-backup" LOGIN NOINHERIT;
END IF;
EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-state-backup"', current_database());
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-state-backup";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-state-backup";
GRANT USAGE ON SCHEMA public TO "garrison-state-backup";
GRANT SELECT ON schema_migrations TO "garrison-state-backup";
GRANT SELECT, UPDATE (game_stage, location_id, prev_location_id, name, gender, created_at, vitals, last_combat_session_id, updated_at) ON characters TO "garrison-state-backup";
GRANT SELECT, INSERT, UPDATE ON character_stats TO "garrison-state-backup";
GRANT SELECT, INSERT, UPDATE, DELETE ON session_snapshots TO "garrison-state-backup";
GRANT SELECT (session_id) ON combat_history TO "garrison-state-backup";

DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-tick') THEN
CREATE ROLE "garrison-tick" LOGIN NOINHERIT;
END IF;
EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-tick"', current_database());
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-tick";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-tick";
GRANT USAGE ON SCHEMA public TO "garrison-tick";
GRANT SELECT ON schema_migrations TO "garrison-tick";
GRANT SELECT, UPDATE (xp, gold, vitals, updated_at) ON characters TO "garrison-tick";
GRANT SELECT, INSERT, UPDATE, DELETE ON auto_sessions TO "garrison-tick";
GRANT SELECT, INSERT, UPDATE ON auto_session_ends TO "garrison-tick";
GRANT SELECT ON tick_rules TO "garrison-tick";
GRANT SELECT ON item_templates TO "garrison-tick";
GRANT SELECT, INSERT, UPDATE (quantity) ON inventory TO "garrison-tick";
GRANT USAGE ON SEQUENCE inventory_id_seq TO "garrison-tick";
GRANT SELECT, INSERT (body), UPDATE (body), DELETE ON tick_events TO "garrison-tick";
GRANT USAGE ON SEQUENCE tick_events_seq_seq TO "garrison-tick";
COMMIT;
