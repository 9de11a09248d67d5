-- How many live cases each person has, counted as it changes: counting them anew for each batch took longer the longer a backlog grew.
-- In triggers, since processes of the version before go on writing cases meanwhile.

create table case_loads (
    location_id text not null,
    staff_id text not null,
    part bigint generated always as identity,
    cases int not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (location_id, staff_id, part)
) with (fillfactor = 50);
comment on table case_loads is 'How many live cases somebody owns at a store: the sum of their parts. There are as many parts as transactions ever changed it at once.';
comment on column case_loads.part is 'A transaction adds to a part that nobody holds, or to a new one: nobody waits for anybody''s commit, whatever the order.';
comment on column case_loads.cases is 'What was added here less what was taken away; the sum alone means something, one part may be below zero.';

create function add_load(place text, person text, more int) returns void language plpgsql as $$
begin
    update case_loads set cases = cases + more where (location_id, staff_id, part) = (
        select location_id, staff_id, part from case_loads
        where location_id = place and staff_id = person order by part limit 1 for update skip locked);
    if not found then
        insert into case_loads (location_id, staff_id, cases) values (place, person, more);
    end if;
end $$;

create function add_loads_of_new() returns trigger language plpgsql as $$
begin
    perform add_load(location_id, owner_staff_id, count(*)::int) from opened
    where status in ('open', 'acknowledged') and owner_staff_id is not null group by location_id, owner_staff_id;
    return null;
end $$;

create function move_load() returns trigger language plpgsql as $$
begin
    if old.status in ('open', 'acknowledged') and old.owner_staff_id is not null then
        perform add_load(old.location_id, old.owner_staff_id, -1);
    end if;
    if tg_op <> 'DELETE' and new.status in ('open', 'acknowledged') and new.owner_staff_id is not null then
        perform add_load(new.location_id, new.owner_staff_id, 1);
    end if;
    return null;
end $$;

-- From here to the commit nobody else writes cases, so what is counted last is all there is.
create trigger cases_add_loads after insert on cases referencing new table as opened
    for each statement execute function add_loads_of_new();
create trigger cases_move_load after update on cases for each row
    when ((old.status in ('open', 'acknowledged'), old.location_id, old.owner_staff_id)
        is distinct from (new.status in ('open', 'acknowledged'), new.location_id, new.owner_staff_id))
    execute function move_load();
create trigger cases_take_load after delete on cases for each row execute function move_load();

insert into case_loads (location_id, staff_id, cases)
select location_id, owner_staff_id, count(*)::int from cases
where status in ('open', 'acknowledged') and owner_staff_id is not null group by location_id, owner_staff_id;
