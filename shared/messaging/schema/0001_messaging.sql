-- The engine's own tables, in every service's schema.

create table inbox (
    ce_id uuid not null,
    day date not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ce_id, day)
) partition by range (day);
comment on table inbox is 'Events that were taken: the reason why an event delivered twice is applied once. day is that of the UUIDv7.';

create table outbox (
    seq bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    day date not null,
    event_id uuid not null,
    topic text not null,
    key text not null,
    type text not null,
    at timestamptz not null,
    body bytea not null,
    traceparent text,
    created_at timestamptz not null default clock_timestamp()
) partition by range (day);
create index outbox_xid on outbox (xid, seq);
create index outbox_seq on outbox (seq);
comment on table outbox is 'What this service said, as a log: rows are appended and never changed; the relay reads between two snapshots.';

create table relay_position (
    is_only boolean primary key default true check (is_only),
    since pg_snapshot not null,
    upto pg_snapshot,
    last_seq bigint not null default 0,
    epoch bigint not null default 0,
    created_at timestamptz not null default clock_timestamp()
);
comment on table relay_position is 'How far the relay is: everything visible in since is out; of what upto sees besides, everything up to last_seq.';
insert into relay_position (since) values (pg_current_snapshot());

create table parked (
    parked_id uuid primary key,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    key text not null,
    ce_id uuid,
    type text,
    reason text not null,
    detail text not null,
    is_behind boolean not null,
    record bytea not null,
    retry_at timestamptz,
    give_up_at timestamptz,
    attempts int not null default 0,
    redriven_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
-- With the bytes: a broker that lost its log gives the same offset to another event.
create unique index parked_once on parked (topic, partition, "offset", md5(record));
create index parked_events on parked (ce_id);
create index parked_keys on parked (topic, key, partition, "offset") where redriven_at is null;
create index parked_retry on parked (retry_at) where redriven_at is null and (retry_at is not null or is_behind);
comment on table parked is 'Events that could not be handled, with the original bytes; is_behind waits only for an earlier one of its key; retry_at is set where the engine tries again by itself or a person asked for it.';

create table rejections (
    rejection_id uuid primary key,
    door text not null,
    code text not null,
    detail text not null,
    subject text not null,
    created_at timestamptz not null default clock_timestamp()
);
create index rejections_newest on rejections (created_at desc);
comment on table rejections is 'Facts the business said no to, kept visible by code.';

create table topics_heard (topic text primary key, created_at timestamptz not null default clock_timestamp());
comment on table topics_heard is 'Topics that were consumed: no committed offset beside one of these means that the broker lost its memory.';

create table audit (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    data jsonb not null,
    created_at timestamptz not null default clock_timestamp()
);
create table audit_seals (
    n bigint primary key,
    seq bigint not null unique references audit (seq),
    hash bytea not null,
    created_at timestamptz not null default clock_timestamp()
);
create index audit_xid on audit (xid, seq);
comment on table audit is 'Who changed what, appended in the transaction that changed it; sealed behind by a chain of hashes.';
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end $$;
create trigger audit_is_append_only before update or delete or truncate on audit for each statement execute function refuse_change();
create trigger audit_seals_are_append_only before update or delete or truncate on audit_seals for each statement execute function refuse_change();

create function keep_partitions(first date, last date, inbox_before date, outbox_before date) returns void
language plpgsql security definer set search_path from current as $$
declare
    parent text;
    day date;
    child record;
begin
    perform pg_advisory_xact_lock(hashtext(current_schema() || ' partitions'));
    foreach parent in array array['inbox', 'outbox'] loop
        for day in select generate_series(first, last, interval '1 day')::date loop
            if to_regclass(format('%I', parent || '_' || to_char(day, 'YYYYMMDD'))) is null then
                execute format('create table %I partition of %I for values from (%L) to (%L)', parent || '_' || to_char(day, 'YYYYMMDD'), parent, day, day + 1);
            end if;
        end loop;
        for child in select relid::regclass::text as name, to_date(right(relid::regclass::text, 8), 'YYYYMMDD') as day
                     from pg_partition_tree(parent::regclass) where isleaf and relid <> parent::regclass loop
            if child.day < (case parent when 'inbox' then inbox_before else outbox_before end) then
                execute format('drop table %s', child.name);
            end if;
        end loop;
    end loop;
end $$;
comment on function keep_partitions is 'Makes the daily partitions first..last of inbox and outbox where missing and drops those before the two days.';
