-- A broker that lost its log is filled again: the relay goes back, and offsets begin anew.

alter table relay_position add column retold pg_snapshot not null default '1:1:';
comment on column relay_position.retold is 'What was said on compacted topics and is visible here is not sent from the log any more: their tables told it anew, without what was erased.';

alter table parked add column turn bigint generated always as identity;
comment on column parked.turn is 'The order in which records were parked, which is the order of their key; offsets begin anew after a lost log.';
create index parked_turns on parked (topic, key, turn) where redriven_at is null;
drop index parked_keys;
