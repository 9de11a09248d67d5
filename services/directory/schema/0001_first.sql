-- The directory's own tables. Every change takes the lock of the one row in sequence first, so versions follow the order of commits.

create table sequence (
    is_only boolean primary key default true check (is_only),
    version int not null default 0,
    created_at timestamptz not null default clock_timestamp()
);
comment on table sequence is 'The version of the last event the directory said; every event takes the next one.';
insert into sequence default values;

create table regions (
    region_id text primary key,
    name text not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table regions is 'What regional managers answer for. They are said with their locations.';

create table locations (
    location_id text primary key,
    version int not null,
    name text not null,
    region_id text not null references regions,
    timezone text not null check (timezone <> ''),
    phone text,
    latitude text,
    longitude text,
    country text not null,
    subdivision text,
    weekly jsonb not null,
    observe_holidays boolean not null,
    closures jsonb not null,
    overrides jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    check ((latitude is null) = (longitude is null))
);
create index locations_region on locations (region_id);
comment on table locations is 'Shops and practices; hours are wall time of the zone. version is that of the last event, which carries the roster too.';

create table staff (
    staff_id text primary key,
    version int not null,
    name text not null,
    role text not null,
    locations text[] not null,
    regions text[] not null,
    phone text,
    email text,
    is_active boolean not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table staff is 'People who work here; one who left stays as a row, inactive.';

create table rosters (
    location_id text not null references locations,
    staff_id text not null references staff,
    starts timestamp not null,
    ends timestamp not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (location_id, starts, ends, staff_id),
    check (starts < ends)
);
comment on table rosters is 'Who is on duty where, in wall time of the store, half-open; shifts may overlap.';

create table keys (
    key_id text primary key,
    version int not null,
    name text not null,
    hash text not null,
    scopes text[] not null,
    staff_id text references staff,
    is_revoked boolean not null default false,
    created_at timestamptz not null default clock_timestamp()
);
comment on table keys is 'API keys by the SHA-256 of their secret, which was shown once; a revoked key stays as a row.';
