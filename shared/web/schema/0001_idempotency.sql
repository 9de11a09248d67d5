create table idempotency_keys (
  key_hash bytea primary key,
  fingerprint bytea not null,
  token bigint not null,
  lease_until timestamptz not null,
  status smallint,
  headers jsonb,
  body bytea,
  created_at timestamptz not null default clock_timestamp()
);
create index idempotency_keys_created_at on idempotency_keys (created_at);

comment on table idempotency_keys is 'Requests that carried an Idempotency-Key and, once answered, their answers. Machine time; kept 24 hours.';
comment on column idempotency_keys.key_hash is 'SHA-256 over asker, method, path and key; the key itself is not kept.';
comment on column idempotency_keys.fingerprint is 'HMAC-SHA-256 of query and body under the key: another body shows, the body cannot be guessed from it.';
comment on column idempotency_keys.token is 'Fencing number: only the request that holds the highest one may store an answer.';
comment on column idempotency_keys.lease_until is 'Until then an unanswered request counts as in flight; after it the key may be claimed again.';
comment on column idempotency_keys.status is 'HTTP status of the stored answer; null while it is in flight.';
comment on column idempotency_keys.body is 'The stored answer, sealed by the vault where the service holds one.';
