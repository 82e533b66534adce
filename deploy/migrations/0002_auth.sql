-- What only the auth service reads and writes. No password, token or private key is ever written to a log.

CREATE TABLE auth_logins (
	sid        uuid PRIMARY KEY,
	account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
	char_id    bigint REFERENCES characters ON DELETE SET NULL,
	generation bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now(),
	used_at    timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days',
	revoked_at timestamptz,
	reason     text
);
CREATE INDEX auth_logins_account_id_idx ON auth_logins (account_id);
CREATE INDEX auth_logins_char_id_idx ON auth_logins (char_id);
CREATE INDEX auth_logins_revoked_at_idx ON auth_logins (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX auth_logins_expires_at_idx ON auth_logins (expires_at);
COMMENT ON TABLE auth_logins IS 'One login on one device, from the first pair of tokens to its revocation; claim sid of access tokens.';
COMMENT ON COLUMN auth_logins.generation IS 'Claim gen of the access tokens that are honoured; a revocation raises it and sets revoked_at. '
	'A row stays until every access token of its login has expired.';
COMMENT ON COLUMN auth_logins.reason IS 'Why it was revoked: logout, password, replay.';

CREATE TABLE auth_refresh_tokens (
	token_hash bytea PRIMARY KEY,
	sid        uuid NOT NULL REFERENCES auth_logins ON DELETE CASCADE,
	issued_at  timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days',
	spent_at   timestamptz
);
CREATE INDEX auth_refresh_tokens_sid_idx ON auth_refresh_tokens (sid);
CREATE INDEX auth_refresh_tokens_expires_at_idx ON auth_refresh_tokens (expires_at);
COMMENT ON TABLE auth_refresh_tokens IS 'Refresh tokens by the SHA-256 of their 256 random bits. A spent one stays until it expires: '
	'seen again after its grace, it revokes the login.';

CREATE TABLE auth_signing_keys (
	kid         text PRIMARY KEY,
	public_key  bytea NOT NULL CHECK (length(public_key) = 32),
	private_key bytea CHECK (length(private_key) = 32),
	created_at  timestamptz NOT NULL DEFAULT now(),
	retired_at  timestamptz
);
COMMENT ON TABLE auth_signing_keys IS 'Ed25519 keys of access tokens, shared by all replicas. All that are not retired verify. The newest '
	'signs once it is a few seconds old, so that every verifier has seen it by then.';

COMMENT ON COLUMN auth_signing_keys.kid IS 'RFC 7638 thumbprint of the public key.';
COMMENT ON COLUMN auth_signing_keys.private_key IS 'The seed; null where the key came from JWT_PRIVATE_KEY.';
COMMENT ON COLUMN auth_signing_keys.retired_at IS 'From then on nobody accepts its tokens; null: no end is set.';

CREATE TABLE auth_character_requests (
	account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
	message_id text NOT NULL,
	char_id    bigint NOT NULL REFERENCES characters ON DELETE CASCADE,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (account_id, message_id)
);
CREATE INDEX auth_character_requests_char_id_idx ON auth_character_requests (char_id);
CREATE INDEX auth_character_requests_created_at_idx ON auth_character_requests (created_at);
COMMENT ON TABLE auth_character_requests IS 'Which character a create_character made, by the sender''s message id: the same request again answers the same character.';
