-- What the use case of the measured hop keeps: a row per key, counted up by each event.
create table tallies (
    key text primary key,
    seen bigint not null,
    word text not null,
    created_at timestamptz not null default clock_timestamp()
);
