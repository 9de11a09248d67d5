-- What the auditor of timers found.

create table timer_findings (
    fault text not null,
    kind text not null,
    subject text not null,
    name text not null,
    generation int not null,
    detail text not null,
    due_at timestamptz,
    seen_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (fault, kind, subject, name, generation)
);
comment on table timer_findings is 'Timers that are not as they ought to be; empty in a healthy system. What is found no more is taken away, but for what fired early or twice.';
create index timers_done_written on timers_done using brin (created_at);
