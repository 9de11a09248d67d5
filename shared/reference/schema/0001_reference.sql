-- Everybody's local copy of the directory, in every service's schema.

create table reference_locations (
    location_id text primary key,
    version int not null,
    region text not null,
    data jsonb not null,
    created_at timestamptz not null default clock_timestamp()
);
create table reference_staff (
    staff_id text primary key,
    version int not null,
    role text not null,
    active boolean not null,
    locations text[] not null,
    regions text[] not null,
    data jsonb not null,
    created_at timestamptz not null default clock_timestamp()
);
create index reference_staff_locations on reference_staff using gin (locations) where active;
create index reference_staff_regions on reference_staff using gin (regions) where active;
create table reference_access (
    key_id text primary key,
    version int not null,
    data jsonb not null,
    created_at timestamptz not null default clock_timestamp()
);
create table reference_heard (
    topic text primary key,
    version int not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table reference_heard is 'The highest version of the directory heard on each of its topics; they have one partition, so everything below was heard too.';
