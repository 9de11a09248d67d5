-- Intake's own tables: what was received, what became of it, orders, incidents, patients.

create table events_received (
    event_id uuid primary key,
    source text not null,
    id text not null,
    type text not null,
    location_id text not null,
    patient_ref text,
    order_id text,
    at timestamptz not null,
    status text not null default 'accepted' check (status in ('accepted', 'unattributed')),
    incident_id uuid,
    why text,
    raw bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (source, id)
);
comment on table events_received is 'POS events, each once by (source, id). raw is the whole event as ciphertext under the patient''s key, else the master key; why says why it is no incident.';

create table events_refused (
    source text not null,
    id text not null,
    code text not null,
    detail text not null,
    errors jsonb not null,
    times int not null default 1,
    at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (source, id)
);
comment on table events_refused is 'The last refusal of an event that named itself, so that its sender can ask; what events_received says beats it. errors maps pointers to details. at is business time.';

create table orders (
    order_id text primary key,
    root_order_id text not null,
    state text,
    state_at timestamptz not null default '1800-01-01 00:00:00+00',
    promised_at timestamptz,
    promise_at timestamptz not null default '1800-01-01 00:00:00+00',
    location_id text,
    location_at timestamptz not null default '1800-01-01 00:00:00+00',
    patient_ref text,
    patient_at timestamptz not null default '1800-01-01 00:00:00+00',
    lab text,
    product text,
    placed_at timestamptz not null default '1800-01-01 00:00:00+00',
    watched_until timestamptz,
    generation int not null default 0,
    late_for timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
create index orders_of_root on orders (root_order_id);
comment on table orders is 'Orders watched. Each field is what the newest event that spoke of it said, and its …_at is that event''s time.';

create table visits (
    visit_id uuid primary key,
    order_id text not null,
    root_order_id text not null,
    location_id text not null,
    at timestamptz not null,
    on_date date not null,
    miles numeric,
    created_at timestamptz not null default clock_timestamp()
);
create index visits_of_root on visits (root_order_id);
comment on table visits is 'Trips: visits with a problem or for an adjustment, by root order. on_date is the date at the store.';

create table remakes (
    remake_id uuid primary key,
    order_id text not null,
    root_order_id text not null,
    at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
create index remakes_of_root on remakes (root_order_id);
comment on table remakes is 'Remakes, one row for each event that said so.';

create table incidents (
    incident_id uuid primary key,
    incident_type text not null,
    location_id text not null,
    patient_ref text,
    root_order_id text,
    status text not null check (status in ('reported', 'unattributed')),
    facts jsonb not null,
    case_id uuid,
    case_reference text,
    created_at timestamptz not null default clock_timestamp()
);
create index incidents_of_patient on incidents (patient_ref) where patient_ref is not null;
comment on table incidents is 'Incidents, immutable but for the case they went to. facts is the incident as told on amends.incidents.v1.';

create table words (
    incident_id uuid primary key references incidents,
    patient_ref text,
    text bytea not null,
    wished_outcome bytea,
    created_at timestamptz not null default clock_timestamp()
);
comment on table words is 'What people said, as ciphertext under the patient''s key, or under the master key where no patient is known.';

create table patients (
    patient_ref text primary key,
    wrapped_key bytea not null,
    name bytea,
    phone bytea,
    email bytea,
    language text,
    payer text,
    postal_code bytea,
    phone_index text,
    household text,
    consents jsonb not null default '{}',
    location_id text not null,
    said jsonb not null default '{}',
    version int not null default 0,
    created_at timestamptz not null default clock_timestamp()
);
create index patients_phone on patients (phone_index) where phone_index is not null;
comment on table patients is 'Patients. Contact data is ciphertext under the key in wrapped_key; said maps a field to the time of the event it is from, consents a purpose to the consent.';
