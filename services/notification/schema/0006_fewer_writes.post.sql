-- A notice is written when it is wished for, as an intent, when it goes and when it was answered: fewer copies of it, in fewer indexes.

-- notices_case is what the unique key of a notice begins with; a case has a handful to put in order.
drop index notices_case;
-- Room in a page for what follows: where no index is concerned, the next version of a row stays beside it.
alter table notices set (fillfactor = 75);
