-- Another arrangement than the shifts for a span: a swap, somebody beside, somebody off, or nobody at all.

create table roster_overrides (
    override_id uuid primary key,
    number bigint generated always as identity,
    location_id text not null references locations,
    starts timestamp not null,
    ends timestamp not null,
    staff_id text references staff,
    instead_of text references staff,
    reason text not null,
    made_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    check (starts < ends)
);
create index roster_overrides_location on roster_overrides (location_id, number);
create index roster_overrides_staff on roster_overrides (staff_id, ends) where staff_id is not null;
comment on table roster_overrides is 'What is laid on top of the shifts, in the order of number; wall time of the store, half-open. One that is undone is deleted.';
comment on column roster_overrides.number is 'The order in which they were given: a later one goes by what an earlier one arranged.';
comment on column roster_overrides.staff_id is 'Who comes on duty; null: nobody.';
comment on column roster_overrides.instead_of is 'Who goes off duty; null beside a staff_id: nobody does, null without one: everybody.';
comment on column roster_overrides.reason is 'Why, in the words of whoever made it; it leaves the directory on no topic.';
comment on column roster_overrides.made_by is 'Who made it, as audit rows name people and keys.';

create index rosters_staff on rosters (staff_id, ends);
comment on index rosters_staff is 'Where else somebody is on duty in a span.';
