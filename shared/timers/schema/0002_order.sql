-- What is due is read in the order (due_at, created_at). Every case that was opened while a store was closed comes due at one instant: with
-- due_at alone in the index each read of a batch would sort them all.
create index timers_order on timers (due_at, created_at) where due_at is not null and parked_reason is null;
drop index timers_due;
