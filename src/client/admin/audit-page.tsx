import { useSearchParams } from 'react-router';
import { Button } from '../ui/button.tsx';
import { Field } from '../ui/field.tsx';
import { Select } from '../ui/select.tsx';
import { TextLink } from '../ui/text-link.tsx';
import { AdminPage } from './admin-page.tsx';
import { type AuditFilter, filterFrom, localDate, paramsFor } from './audit-filter.ts';
import { EventPages } from './event-list.tsx';
import { ExportButton } from './export-button.tsx';
import { eventLabel, eventTypes } from './sentences.tsx';

const types = [
  { value: '', label: 'All events' },
  ...eventTypes
    .map((type) => ({ value: type as string, label: eventLabel(type) }))
    .toSorted((a, b) => a.label.localeCompare(b.label)),
];

/** The filter is in the address, as other pages link to it. */
export default function AuditPage() {
  const [params] = useSearchParams();
  const filter = filterFrom(params);
  const key = JSON.stringify(filter);
  return (
    <AdminPage title="Audit">
      <Filter key={key} filter={filter} />
      <section
        aria-label="Events"
        className="mt-8 flex flex-col gap-5 rounded-2xl border border-line bg-surface px-5 py-6 sm:px-7"
      >
        <ExportButton key={key} filter={filter} />
        <EventPages filter={filter} />
      </section>
    </AdminPage>
  );
}

function Filter({ filter }: { filter: AuditFilter }) {
  const [, setParams] = useSearchParams();
  const submit = (form: FormData) => {
    const entered = new URLSearchParams();
    for (const [name, value] of form) if (typeof value === 'string') entered.set(name, value);
    setParams(paramsFor(filterFrom(entered)));
  };
  return (
    <search>
      <form
        className="mt-6 grid gap-x-5 gap-y-4 sm:grid-cols-2"
        onSubmit={(event) => {
          event.preventDefault();
          submit(new FormData(event.currentTarget));
        }}
      >
        <Field
          label="Person"
          name="person"
          hint="The ID, as the page of a person shows it."
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          defaultValue={filter.userId}
        />
        <Select label="Event" name="type" options={types} defaultValue={filter.type ?? ''} />
        <Field label="From" type="datetime-local" name="from" defaultValue={localDate(filter.from)} />
        <Field label="Until" type="datetime-local" name="to" defaultValue={localDate(filter.to)} />
        <div className="flex flex-wrap items-center gap-x-5 gap-y-3 sm:col-span-2">
          <Button type="submit">Filter</Button>
          {Object.keys(filter).length > 0 && <TextLink to="/admin/audit">Show everything</TextLink>}
        </div>
      </form>
    </search>
  );
}
