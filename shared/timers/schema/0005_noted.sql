-- A finding has a name of its own, may be taken note of, and it is known when the auditor looked.

alter table timer_findings add column finding_id uuid not null default gen_random_uuid(), add column noted_at timestamptz;
create unique index timer_findings_id on timer_findings (finding_id);
comment on column timer_findings.noted_at is 'When (machine time) a person took note of what fired early or twice; the row goes a day later, so that the next look does not find it again.';

create table timer_audits (
    the_one boolean primary key default true check (the_one),
    looked_at timestamptz not null,
    went_round_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
comment on table timer_audits is 'One row: when (machine time) the auditor of timers looked last, and when it last had gone over every timer and every subject.';
