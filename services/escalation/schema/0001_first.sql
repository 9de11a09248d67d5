-- Cases and all that belongs to them. Words of people are ciphertext; nothing here names a patient but by reference.

create sequence case_numbers minvalue 0 start 0;
comment on sequence case_numbers is 'What references are made from: a bijection, so a number used once is a reference used once.';

create table cases (
    case_id uuid primary key,
    reference text not null unique,
    belongs_to text not null,
    status text not null check (status in ('open', 'acknowledged', 'resolved', 'closed')),
    severity int not null,
    catalyst text not null,
    location_id text not null,
    region text not null,
    patient_ref text,
    root_order_id text,
    household text,
    payer_class text not null,
    opened_at timestamptz not null,
    plan jsonb not null,
    promised_contact_by timestamptz not null,
    last_activity_at timestamptz not null,
    targets jsonb not null,
    level int not null check (level between 0 and 2),
    generation int not null,
    step int not null,
    segment int not null,
    owner_staff_id text,
    incidents int not null,
    story_confirmed boolean not null,
    acknowledged_by text,
    acknowledged_at timestamptz,
    expires_at timestamptz,
    paused_reason text,
    paused_at timestamptz,
    pauses jsonb not null,
    is_asleep boolean not null,
    root_cause text,
    resolved_at timestamptz,
    closed_at timestamptz,
    version int not null,
    created_at timestamptz not null default clock_timestamp()
);
create unique index cases_one_open on cases (belongs_to) where status <> 'closed';
create index cases_newest on cases (opened_at desc, case_id desc);
create index cases_of_patient on cases (patient_ref, opened_at desc) where patient_ref is not null;
create index cases_of_location on cases (location_id, opened_at desc);
create index cases_load on cases (location_id, owner_staff_id) where status in ('open', 'acknowledged');
create index cases_unowned on cases (opened_at) where status in ('open', 'acknowledged') and owner_staff_id is null;
comment on table cases is 'The worked recovery of one patient''s upset. One that is not closed exists per patient, else per root order (belongs_to).';
comment on column cases.plan is 'The SLA plan it was opened with or re-planned to by a recorded act, whole.';
comment on column cases.targets is 'Targets of all segments, oldest first; those of the highest segment are the ones that count.';

create table case_events (
    case_id uuid not null references cases,
    version int not null,
    type text not null,
    at timestamptz not null,
    by text,
    data jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (case_id, version)
);
comment on table case_events is 'What happened to a case, as it was said: the clock is explained from it, never from what would be computed today.';

create table case_incidents (
    incident_id uuid primary key,
    case_id uuid not null references cases,
    incident_type text not null,
    at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
create index case_incidents_of on case_incidents (case_id);
comment on table case_incidents is 'Which incident belongs to which case; each once.';

create table case_words (
    word_id uuid primary key,
    case_id uuid not null references cases,
    field text not null,
    sealed bytea not null,
    patient_ref text,
    at timestamptz not null,
    by text not null,
    created_at timestamptz not null default clock_timestamp()
);
create index case_words_of on case_words (case_id, at desc);
comment on table case_words is 'Words of patients and staff, sealed under the patient''s key (patient_ref), else under the case''s own. The newest of a field counts.';

create table case_keys (
    case_id uuid primary key references cases,
    wrapped_key bytea not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table case_keys is 'The own key of a case without a known patient, wrapped by the master key.';

create table patients (
    patient_ref text primary key,
    wrapped_key bytea not null,
    version int not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table patients is 'The wrapped key of each patient, from intake; erasing a patient removes the row, and their words with it.';
