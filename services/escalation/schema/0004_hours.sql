-- What a clock is taken apart by: the store's hours as they were, and what is due besides the targets.

alter table cases add column step_since timestamptz, add column step_due_at timestamptz, add column paused_until timestamptz;
comment on column cases.step_since is 'Where the wait of the ladder''s next step began; null where no step is due.';
comment on column cases.step_due_at is 'When the ladder''s next step comes, unless somebody takes the case before.';
comment on column cases.paused_until is 'When the running pause has used up the budget of its reason.';
create index cases_live_of_location on cases (location_id, case_id) where status in ('open', 'acknowledged');

create table location_hours (
    location_id text not null,
    version int not null,
    hours jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (location_id, version)
);
comment on table location_hours is 'The opening hours of each store as the directory told them, whenever they changed: a target is explained by the hours it was counted with.';
insert into location_hours (location_id, version, hours)
select location_id, version, jsonb_build_object('timezone', data -> 'timezone', 'weekly', data -> 'weekly', 'closures', data -> 'closures',
    'overrides', data -> 'overrides', 'observe_holidays', data -> 'observe_holidays', 'country', data -> 'country', 'subdivision', data -> 'subdivision')
from reference_locations;
