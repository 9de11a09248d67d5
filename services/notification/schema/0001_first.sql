-- Notices, conversations, consents and patient links.

create table patients (
    patient_ref text primary key,
    version int not null,
    wrapped_key bytea not null,
    name bytea,
    phone bytea,
    phone_index text,
    language text not null,
    payer_class text not null,
    location_id text not null,
    created_at timestamptz not null default clock_timestamp()
);
create index patients_phone on patients (phone_index) where phone_index is not null;
comment on table patients is 'What intake said of patients: contact data as ciphertext under the patient''s own key.';

create table cases (
    case_id uuid primary key,
    version int not null,
    reference text not null,
    status text not null,
    level int not null,
    severity int not null,
    catalyst text not null,
    location_id text not null,
    region text not null,
    patient_ref text,
    owner_staff_id text,
    generation int not null,
    created_at timestamptz not null default clock_timestamp()
);
create index cases_patient on cases (patient_ref) where patient_ref is not null;
comment on table cases is 'What escalation said of cases, as far as a text needs it; generation is that of the ladder.';

create table consents (
    consent_id uuid primary key,
    patient_ref text not null,
    purpose text not null,
    granted boolean not null,
    at timestamptz not null,
    source text not null,
    recorded_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (patient_ref, purpose, granted, at, source)
);
comment on table consents is 'Every word on consent with its proof, appended; the newest word per purpose counts.';

create table conversations (
    number_index text primary key,
    opted_out_at timestamptz,
    opted_in_at timestamptz,
    first_texted_at timestamptz,
    last_case_id uuid,
    question_kind text,
    question_options text[],
    question_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
comment on table conversations is 'One row per number, under its keyed hash: its opt-out, the case last texted, the question it was asked. It outlives the patient.';

create table notices (
    notice_id uuid primary key,
    seq bigint generated always as identity,
    case_id uuid,
    audience text not null check (audience in ('patient', 'staff')),
    template text not null,
    cause text not null,
    recipient text not null,
    status text not null check (status in ('queued', 'held', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'withheld', 'uncertain')),
    reason text,
    staff_id text,
    patient_ref text,
    number_index text,
    generation int,
    facts jsonb not null,
    is_answer boolean not null,
    typed_by text,
    carried_by uuid,
    segments int not null,
    attempt int not null,
    token int not null,
    tries int not null,
    looks int not null,
    rank int not null,
    queued_at timestamptz not null,
    send_at timestamptz not null,
    sent_at timestamptz,
    version int not null,
    body bytea,
    to_number bytea,
    lease_until timestamptz,
    left_at timestamptz,
    provider_sid text,
    created_at timestamptz not null default clock_timestamp(),
    unique nulls not distinct (case_id, template, cause, recipient)
);
create index notices_case on notices (case_id, seq);
create index notices_waiting on notices (number_index) where status in ('queued', 'held');
create index notices_lease on notices (lease_until) where status = 'sending';
create index notices_pages on notices (number_index, seq) where audience = 'staff';
create index notices_counted on notices (patient_ref, sent_at) where audience = 'patient';
create index notices_carried on notices (carried_by) where carried_by is not null;
create unique index notices_sid on notices (provider_sid) where provider_sid is not null;
comment on table notices is 'One message each; seq is the order they were wished for. Times are business time, but lease_until and left_at, which are the machine''s; left_at is set before the first byte leaves; carried_by names the notice in whose text this one was told.';

create table callbacks (
    provider_sid text not null,
    provider_status text not null,
    notice_id uuid,
    error_code text,
    applied boolean not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (provider_sid, provider_status)
);
create index callbacks_waiting on callbacks (provider_sid) where not applied;
comment on table callbacks is 'Delivery reports, each kind once per message; one for a message not known yet waits here.';

create table messages (
    message_id uuid primary key,
    provider_sid text not null unique,
    number_index text not null,
    sender bytea not null,
    body bytea not null,
    sealed_for text,
    case_id uuid,
    patient_ref text,
    staff_id text,
    meaning text not null,
    received_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
create index messages_case on messages (case_id, created_at);
create index messages_number on messages (number_index, created_at);
comment on table messages is 'Texts from people, as ciphertext: under the key of the patient named by sealed_for, else under the master key.';

create table links (
    link_id uuid primary key,
    case_id uuid not null,
    notice_id uuid not null,
    token_hash text not null unique,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table links is 'Patient links by the hash of their secret, which stands only in the text.';

create table quarantined (
    quarantine_id uuid primary key,
    path text not null,
    reason text not null,
    body bytea not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table quarantined is 'Webhook bodies whose signature did not hold, as ciphertext, for a person to look at.';
