-- What the use case of these tests leaves behind: one row per event that was applied, in the order it was.
create table effects (
    seq bigint generated always as identity primary key,
    ce_id uuid not null,
    key text not null,
    word text not null,
    created_at timestamptz not null default clock_timestamp()
);
