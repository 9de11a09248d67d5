-- Cases of earlier versions learn what they wait for from the timers that are set: their versions kept it there alone. Left until none of
-- their processes runs, since they go on opening cases without it.

update cases c set paused_until = t.due_at
from timers t
where c.status in ('open', 'acknowledged') and c.paused_reason is not null and c.paused_until is null
  and (t.kind, t.subject, t.name) = ('pause_end', c.case_id::text, c.paused_reason) and t.due_at is not null;

-- A step counts from the step before, the first from the breach of its target.
update cases c set step_due_at = t.due_at, step_since = coalesce(
    (select max(d.due_at) from timers_done d
     where d.subject = c.case_id::text and d.outcome = 'fired' and d.kind = 'step' and d.name = c.step::text and d.generation = c.generation),
    (select max(d.due_at) from timers_done d
     where d.subject = c.case_id::text and d.outcome = 'fired' and d.kind = 'target' and d.name = 'acknowledge'),
    c.opened_at)
from timers t
where c.status in ('open', 'acknowledged') and c.step_due_at is null
  and (t.kind, t.subject, t.name, t.generation) = ('step', c.case_id::text, (c.step + 1)::text, c.generation) and t.due_at is not null;

with told as (
    select c.case_id, jsonb_agg(
        case when w.name is null or t ->> 'next_warning' is not null then t else t || jsonb_build_object('next_warning', w.name) end order by n
    ) as targets
    from cases c cross join lateral jsonb_array_elements(c.targets) with ordinality as x(t, n)
    left join timers w on w.kind = 'warning' and w.subject = c.case_id::text and w.generation = (t ->> 'segment')::int
        and split_part(w.name, ':', 1) = t ->> 'milestone' and t ->> 'state' in ('running', 'paused')
    where c.status in ('open', 'acknowledged')
    group by c.case_id
)
update cases c set targets = told.targets from told where c.case_id = told.case_id and c.targets <> told.targets;
