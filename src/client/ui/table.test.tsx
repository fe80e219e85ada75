import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { Row, Table } from './table.tsx';

it('stays a table for browsers that take `display: block` for the end of one', () => {
  const columns = ['Name', 'Email'];
  const html = renderToStaticMarkup(
    <Table caption="People" columns={columns}>
      <Row columns={columns}>
        {'Ada'}
        {'ada@example.com'}
      </Row>
    </Table>,
  );
  const roles = [...html.matchAll(/<(\w+) role="(\w+)"/g)].map(([, element, role]) => `${element} ${role}`);
  expect(roles).toEqual([
    'table table',
    'thead rowgroup',
    'tr row',
    'th columnheader',
    'th columnheader',
    'tbody rowgroup',
    'tr row',
    'th rowheader',
    'td cell',
  ]);
});
