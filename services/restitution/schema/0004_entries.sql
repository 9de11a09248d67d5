-- Both legs of an entry come, and turn, in one statement: a check of all entries of a statement at its end does what one of each leg at
-- the commit did, once instead of leg by leg.

create function check_entries() returns trigger language plpgsql as $$
declare
    wrong uuid;
begin
    select entry_id into wrong from ledger where entry_id in (select entry_id from changed)
    group by entry_id having count(*) <> 2 or sum(amount_minor) <> 0 or count(distinct currency) <> 1 or count(distinct state) <> 1 limit 1;
    if found then
        raise exception 'entry % must have two legs of one currency and one state that sum to zero', wrong;
    end if;
    return null;
end $$;
create trigger new_entries_sum_to_zero after insert on ledger referencing new table as changed
    for each statement execute function check_entries();
create trigger turned_entries_sum_to_zero after update on ledger referencing new table as changed
    for each statement execute function check_entries();
