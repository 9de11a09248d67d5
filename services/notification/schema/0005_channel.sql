-- Pages to staff leave by e-mail and webhook too.

alter table notices add column channel text not null default 'text' check (channel in ('text', 'email', 'webhook'));
comment on column notices.channel is 'What it leaves by. number_index and to_number are those of the number, the address or the URL; a webhook has no index, for each leaves alone.';
