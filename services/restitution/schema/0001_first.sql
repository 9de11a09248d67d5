-- Restitution: what is given back, the trips that were decided, the ledger, budgets and payouts.

create table cases (
    case_id uuid primary key,
    reference text not null,
    location_id text not null,
    region text not null,
    patient_ref text,
    root_order_id text,
    payer_class text not null,
    story_confirmed boolean not null,
    status text not null,
    version int not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table cases is 'What was heard of each case, as of its version; escalation owns them.';

create table restitutions (
    restitution_id uuid primary key,
    case_id uuid not null references cases,
    kind text not null,
    amount_minor bigint not null check (amount_minor >= 0),
    currency text not null,
    status text not null check (status in ('proposed', 'referred', 'approved', 'declined', 'offered', 'accepted', 'settled', 'reversed',
        'expired', 'payout_uncertain')),
    version int not null,
    location_id text not null,
    region text not null,
    patient_ref text,
    requested_by text not null,
    proposed_at timestamptz not null,
    month text not null check (month ~ '^\d{4}-\d{2}$'),
    approved_by text[] not null,
    reason text,
    words text,
    decision jsonb,
    needs jsonb,
    trips jsonb not null,
    money text not null check (money in ('none', 'pending', 'posted', 'voided', 'reversed')),
    payout_state text not null check (payout_state in ('none', 'due', 'paying', 'paid', 'uncertain', 'cancelled')),
    payout_token int not null,
    payout_lease_until timestamptz,
    payout_looks int not null,
    offered_at timestamptz,
    settled_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    -- The last line of defence: whoever asked is never among those who approved.
    constraint nobody_approves_their_own check (requested_by = 'system' or requested_by <> all (approved_by))
);
create index restitutions_case on restitutions (case_id);
create index restitutions_waiting on restitutions (case_id) where status = 'approved';
create index restitutions_gifts on restitutions (patient_ref, proposed_at);
comment on table restitutions is 'Each restitution as it stands. words are what a person gave as reason, for people who may see it: they travel on no topic. payout_lease_until is machine time.';

create table trips_decided (
    visit_id uuid primary key,
    restitution_id uuid not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table trips_decided is 'The visits gas money was decided about: each once, also where a person declined it.';

create table ledger (
    entry_id uuid not null,
    leg int not null,
    restitution_id uuid not null references restitutions,
    purpose text not null check (purpose in ('grant', 'reversal')),
    account text not null,
    amount_minor bigint not null check (amount_minor <> 0),
    currency text not null,
    state text not null check (state in ('pending', 'posted', 'voided')),
    at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (entry_id, leg),
    unique (restitution_id, purpose, leg)
);
comment on table ledger is 'Legs of entries; append-only but for pending to posted or voided, once. at is when it was booked, in business time.';

create function guard_ledger() returns trigger language plpgsql as $$
begin
    if tg_op <> 'UPDATE' then
        raise exception 'the ledger is append-only';
    end if;
    if old.state <> 'pending' or new.state not in ('posted', 'voided')
        or (to_jsonb(old) - 'state') is distinct from (to_jsonb(new) - 'state') then
        raise exception 'a leg changes once, from pending to posted or voided, and nothing else of it';
    end if;
    return new;
end $$;
create trigger ledger_is_append_only before update or delete on ledger for each row execute function guard_ledger();
create trigger ledger_is_never_emptied before truncate on ledger for each statement execute function guard_ledger();

create function check_entry() returns trigger language plpgsql as $$
begin
    if (select count(*) <> 2 or sum(amount_minor) <> 0 or count(distinct currency) <> 1 or count(distinct state) <> 1
        from ledger where entry_id = new.entry_id) then
        raise exception 'entry % must have two legs of one currency and one state that sum to zero', new.entry_id;
    end if;
    return null;
end $$;
create constraint trigger entries_sum_to_zero after insert or update on ledger deferrable initially deferred
    for each row execute function check_entry();

create table budgets (
    location_id text not null,
    month text not null,
    currency text not null,
    reserved_minor bigint not null default 0 check (reserved_minor >= 0),
    posted_minor bigint not null default 0 check (posted_minor >= 0),
    created_at timestamptz not null default clock_timestamp(),
    primary key (location_id, month, currency)
);
comment on table budgets is 'A store''s month: approval reserves, settlement posts, decline and reversal release.';

create table payout_codes (
    payout_id uuid primary key,
    code text not null unique,
    amount_minor bigint not null,
    currency text not null,
    voided_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
comment on table payout_codes is 'The code adapter''s own book: one code for each payout, however often it is asked.';
