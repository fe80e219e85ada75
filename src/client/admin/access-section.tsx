import { useState } from 'react';
import type { Person } from '../../shared/admin.ts';
import { type Role, roles } from '../../shared/auth.ts';
import { trpcClient } from '../api/client.ts';
import { sendsMail } from '../auth/sends-mail.ts';
import { Section } from '../ui/section.tsx';
import { Select } from '../ui/select.tsx';
import { Action } from './action.tsx';
import { roleName } from './person-state.tsx';

// None of the calls has a time limit: it may wait for the admin to prove who they are.

export function AccessSection({ person }: { person: Person }) {
  return (
    <Section heading="Access" intro="What they may do here. Each change is in the audit, with your name.">
      <RoleChange person={person} />
      <div className="flex flex-wrap items-center gap-x-5 gap-y-3 border-t border-line pt-5">
        <DisableOrEnable person={person} />
      </div>
      {sendsMail && (
        <div className="flex flex-wrap items-center gap-x-5 gap-y-3 border-t border-line pt-5">
          <SendPasswordReset person={person} />
        </div>
      )}
    </Section>
  );
}

const roleOptions = roles.map((role) => ({ value: role, label: roleName(role) }));

/** What a role lets people do, for the dialog. */
const roleEffect = (role: Role) =>
  role === 'admin'
    ? 'They can then see everybody’s account and sessions, end sessions, disable people, and make others an admin.'
    : 'They may then do and see what this role allows, and nothing else, at once, on every page that they have open.';

function RoleChange({ person: { id, username, role } }: { person: Person }) {
  const [chosen, setChosen] = useState<Role>();
  const next = chosen ?? role;
  return (
    <div className="flex flex-wrap items-end gap-x-5 gap-y-3">
      <div className="min-w-0 grow basis-40 sm:max-w-60">
        <Select
          label="Role"
          options={roleOptions}
          value={next}
          onChange={({ target }) => setChosen(roles.find((known) => known === target.value))}
        />
      </div>
      <Action
        label="Save role"
        kind="quiet"
        unavailable={next === role}
        question={`Change the role of ${username} to ${roleName(next)}?`}
        confirm="Change role"
        run={async () => {
          await trpcClient.admin.setRole.mutate({ id, role: next });
          setChosen(undefined);
          return `${username} is now: ${roleName(next)}.`;
        }}
      >
        {roleEffect(next)}
      </Action>
    </div>
  );
}

/** One component for both, so that the button keeps the focus, and the outcome stays when the other takes its place. */
function DisableOrEnable({ person: { id, username, disabled } }: { person: Person }) {
  const verb = disabled ? 'Enable' : 'Disable';
  return (
    <Action
      label={`${verb} account`}
      kind={disabled ? 'quiet' : 'danger'}
      question={`${verb} the account of ${username}?`}
      confirm={verb}
      run={async () => {
        await trpcClient.admin.setDisabled.mutate({ id, disabled: !disabled });
        return `${verb}d.`;
      }}
    >
      {disabled
        ? 'They can log in again with the password that they had.'
        : 'They are logged out everywhere at once, and cannot log in until the account is enabled again. Nothing is deleted.'}
    </Action>
  );
}

function SendPasswordReset({ person: { id, username, email, disabled } }: { person: Person }) {
  return (
    <Action
      label="Send password reset"
      kind="quiet"
      // The server refuses it: the link would be of no use.
      unavailable={disabled}
      question={`Send ${username} a password reset?`}
      confirm="Send"
      run={async () => {
        await trpcClient.admin.sendPasswordReset.mutate({ id });
        return `Sent to ${email}.`;
      }}
    >
      We mail a link to {email} that sets a new password. It works once, for an hour, and replaces the one before.
      Nothing changes until they use it.
    </Action>
  );
}
