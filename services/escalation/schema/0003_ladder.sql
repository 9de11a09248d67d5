-- Ladders as data: which rung is next, who takes turns; cases that are nobody's.

alter table cases add column step_rung int, add column step_repeat int not null default 0;
comment on column cases.step_rung is 'The rung of the ladder that the next step pages, from 0; null for those kept before it was.';
comment on column cases.step_repeat is 'How often that rung was paged before.';

create table turns (
    staff_id text primary key,
    turn bigint not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table turns is 'Who was paged in turn with others (round robin): the highest is the last. Written only where a ladder lets people take turns.';
comment on column turns.turn is 'One more than the highest at that time.';

create index cases_owned on cases (owner_staff_id) where status in ('open', 'acknowledged') and owner_staff_id is not null;
comment on index cases_owned is 'Finds the live cases of somebody who has left.';
