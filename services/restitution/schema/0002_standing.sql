-- What is not at an end is counted every few seconds, however much has been settled.

create index restitutions_not_at_an_end on restitutions (status)
    where status in ('proposed', 'referred', 'approved', 'offered', 'accepted', 'payout_uncertain');
