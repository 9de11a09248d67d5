-- Timers, in every service's schema.

create table timers (
    kind text not null,
    subject text not null,
    name text not null,
    generation int not null,
    due_at timestamptz,
    data jsonb not null,
    parked_reason text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (kind, subject, name, generation)
);
create index timers_due on timers (due_at) where due_at is not null and parked_reason is null;
create index timers_subject on timers (subject);
comment on table timers is 'What the service is to be woken for, in business time; due_at is null while paused.';

create table timers_done (
    kind text not null,
    subject text not null,
    name text not null,
    generation int not null,
    outcome text not null check (outcome in ('fired', 'cancelled')),
    reason text not null,
    due_at timestamptz,
    fired_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
create unique index timers_fired_once on timers_done (kind, subject, name, generation) where outcome = 'fired';
create index timers_done_subject on timers_done (subject);
comment on table timers_done is 'The proof: each timer fired once, or was cancelled for a reason. Written in the transaction it fired in.';
