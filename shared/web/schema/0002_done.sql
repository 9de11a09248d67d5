-- What was done is known even where its answer was lost: the mark is written in the transaction that did it.

alter table idempotency_keys add column is_done boolean not null default false;
comment on column idempotency_keys.is_done is 'The transaction of the request has committed; with no status its answer was lost with the process, and the request is not run again.';
