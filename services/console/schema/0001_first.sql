create table queue_rows (
  case_id uuid primary key,
  version integer not null,
  reference text not null,
  status text not null,
  level integer not null,
  severity integer not null,
  catalyst text not null,
  location_id text not null,
  region text not null,
  patient_ref text,
  root_order_id text,
  owner_staff_id text,
  incidents integer not null,
  opened_at timestamptz not null,
  changed_at timestamptz not null,
  story_confirmed boolean not null,
  policy text not null,
  next_milestone text,
  next_due_at timestamptz,
  urgent_at timestamptz not null,
  breached integer not null,
  targets jsonb not null,
  contact_by timestamptz,
  created_at timestamptz not null default clock_timestamp()
);
create unique index queue_rows_reference on queue_rows (reference);
create index queue_rows_urgent on queue_rows (urgent_at, severity, case_id) where status in ('open', 'acknowledged', 'resolved');
create index queue_rows_live on queue_rows (location_id, region) where status in ('open', 'acknowledged');
create index queue_rows_all on queue_rows (status, urgent_at, severity, case_id);
comment on table queue_rows is 'Projection: a case as its newest event tells it. Times are business time, except created_at.';
comment on column queue_rows.urgent_at is 'What the queue is sorted by: the due time shown first; the year 9999 where nothing is due.';
comment on column queue_rows.contact_by is 'What the patient was told at the opening: by when a person is in touch.';

create table entries (
  event_id uuid primary key,
  case_id uuid not null,
  at timestamptz not null,
  version integer not null,
  type text not null,
  data jsonb not null,
  created_at timestamptz not null default clock_timestamp()
);
create index entries_case on entries (case_id, at, event_id);
comment on column entries.version is 'Of its aggregate: the order of what was said in the same millisecond.';
comment on table entries is 'Projection: one row per event that concerns a case; the sentence is made when it is read. No words, names or numbers of patients.';

create table incidents (
  incident_id uuid primary key,
  case_id uuid,
  incident_type text not null,
  catalyst text not null,
  location_id text not null,
  channel text,
  has_words boolean not null,
  occurred_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);
create index incidents_case on incidents (case_id) where case_id is not null;
comment on table incidents is 'Projection: what was reported; case_id comes with the event of the case that took it up.';

create table restitutions (
  restitution_id uuid primary key,
  case_id uuid not null,
  version integer not null,
  kind text not null,
  amount_minor bigint not null,
  currency text not null,
  status text not null,
  reason text,
  needs jsonb,
  decision jsonb,
  changed_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);
create index restitutions_case on restitutions (case_id);
comment on table restitutions is 'Projection: what is given back, as its newest event tells it.';

create table notices (
  notice_id uuid primary key,
  case_id uuid,
  version integer not null,
  status text not null,
  audience text not null,
  template text not null,
  staff_id text,
  reason text,
  changed_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);
create index notices_case on notices (case_id) where case_id is not null;
comment on table notices is 'Projection: what became of each text; its words stay with notification.';

create table patients (
  patient_ref text primary key,
  version integer not null,
  wrapped_key bytea not null,
  name bytea,
  phone bytea,
  language text not null,
  payer_class text not null,
  created_at timestamptz not null default clock_timestamp()
);
comment on table patients is 'Projection: name and number as ciphertext under the patient''s own key, to show to who may see the case.';

create table links (
  token_hash text primary key,
  case_id uuid not null,
  expires_at timestamptz not null,
  tries integer not null default 0,
  tries_since timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp()
);
comment on table links is 'Projection: patient links by the SHA-256 of their secret. expires_at is business time; tries are wrong answers to the second factor (machine time).';

create table link_visits (
  visit_hash text primary key,
  token_hash text not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);
create index link_visits_expires on link_visits (expires_at);
comment on table link_visits is 'A browser that passed the second factor of a link. Machine time.';

create table sessions (
  session_hash text primary key,
  staff_id text not null,
  anti_forgery text not null,
  seen_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp()
);
create index sessions_seen on sessions (seen_at);
comment on table sessions is 'Signed-in people, by the SHA-256 of what their cookie holds. Machine time.';
