-- What patients were promised, how long it took, and how often it was kept.

alter table cases add column promises jsonb not null default '[]', add column lab text;
comment on column cases.promises is 'What the patient was promised, oldest first, each with why it is for when it is; one that was moved stays beside its successor.';
comment on column cases.lab is 'The lab of the order, from the first incident that named one.';

create table promise_durations (
    case_id uuid not null references cases,
    number int not null,
    what text not null,
    catalyst text not null,
    lab text,
    location_id text not null,
    seconds int not null check (seconds >= 0),
    fulfilled_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (case_id, number)
);
create index promise_durations_of_lab on promise_durations (what, catalyst, lab, location_id, fulfilled_at desc) where lab is not null;
create index promise_durations_of_location on promise_durations (what, catalyst, location_id, fulfilled_at desc);
create index promise_durations_of_catalyst on promise_durations (what, catalyst, fulfilled_at desc);
comment on table promise_durations is 'How long what was promised took, a row for each that was fulfilled, late ones too: the next promise is the p90 of the newest few.';
comment on column promise_durations.seconds is 'Elapsed time from when it was promised first to when it was done; moving it does not shorten it.';

create table promise_counts (
    location_id text not null,
    month date not null,
    what text not null,
    made int not null,
    kept int not null,
    early int not null,
    late int not null,
    moved int not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (month, location_id, what)
);
comment on table promise_counts is 'What became of promises, by store and month, counted as it happens.';
comment on column promise_counts.month is 'The first day of the month on the wall of the store, of the moment that is counted, not of the promise.';
comment on column promise_counts.made is 'New promises; one that was moved is counted under moved, not made again.';
